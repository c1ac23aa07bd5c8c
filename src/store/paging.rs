//! Walks listings page by page, in memory of one page, and refuses a server that never ends (T13).

use super::{Key, Listed, ListedPart, OpenUpload, Page, PageToken, Store, StoreError, UploadId};

/// Walks all objects whose keys start with `prefix`, in no promised order.
pub fn objects<'a>(store: &'a dyn Store, prefix: &'a str) -> Pages<'a, Listed> {
    Pages::new(prefix, move |after| store.list(prefix, after))
}

/// Walks all parts of an upload. A number that was sent again may come twice, in any order.
pub fn parts<'a>(store: &'a dyn Store, key: &'a Key, upload: &'a UploadId) -> Pages<'a, ListedPart> {
    Pages::new(key.as_str(), move |after| store.list_parts(key, upload, after))
}

/// Walks all open uploads whose keys start with `prefix`.
pub fn uploads<'a>(store: &'a dyn Store, prefix: &'a str) -> Pages<'a, OpenUpload> {
    Pages::new(prefix, move |after| store.list_uploads(prefix, after))
}

type Fetch<'a, T> = Box<dyn FnMut(Option<&PageToken>) -> Result<Page<T>, StoreError> + 'a>;

/// The items of a listing. After an error there is nothing more.
pub struct Pages<'a, T> {
    prefix: &'a str,
    fetch: Fetch<'a, T>,
    items: std::vec::IntoIter<T>,
    state: State,
}

enum State {
    First,
    After(PageToken, Watch),
    Done,
}

/// Brent's cycle search: one kept token, replaced after 1, 2, 4, 8 ... pages. A loop of any length
/// meets the kept token in the end, and memory stays that of one token.
struct Watch {
    kept: PageToken,
    since: u64,
    window: u64,
}

impl<'a, T> Pages<'a, T> {
    fn new(prefix: &'a str, fetch: impl FnMut(Option<&PageToken>) -> Result<Page<T>, StoreError> + 'a) -> Self {
        Pages { prefix, fetch: Box::new(fetch), items: Vec::new().into_iter(), state: State::First }
    }

    /// Fetches the next page; false after the last.
    fn turn(&mut self) -> Result<bool, StoreError> {
        let state = std::mem::replace(&mut self.state, State::Done);
        let (page, watch) = match state {
            State::Done => return Ok(false),
            State::First => ((self.fetch)(None)?, None),
            State::After(token, watch) => ((self.fetch)(Some(&token))?, Some(watch)),
        };
        self.items = page.items.into_iter();
        if let Some(next) = page.next {
            let watch = match watch {
                None => Watch { kept: next.clone(), since: 0, window: 1 },
                Some(watch) => self.step(watch, &next)?,
            };
            self.state = State::After(next, watch);
        }
        Ok(true)
    }

    fn step(&self, mut watch: Watch, next: &PageToken) -> Result<Watch, StoreError> {
        if watch.kept == *next {
            return Err(StoreError::ListingLoops { prefix: self.prefix.to_owned() });
        }
        watch.since += 1;
        if watch.since == watch.window {
            watch = Watch { kept: next.clone(), since: 0, window: watch.window * 2 };
        }
        Ok(watch)
    }
}

impl<T> Iterator for Pages<'_, T> {
    type Item = Result<T, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.items.next() {
                return Some(Ok(item));
            }
            match self.turn() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.items = Vec::new().into_iter();
                    return Some(Err(error));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages 0, 1, 2 ... whose tokens run into a loop of `period` after `lead` pages.
    fn looping(lead: u64, period: u64) -> Pages<'static, u64> {
        Pages::new("p", move |after| {
            let at: u64 = after.map_or(0, |token| token.as_str().parse().expect("own token"));
            let next = if at + 1 < lead + period { at + 1 } else { lead };
            Ok(Page { items: vec![at], next: Some(PageToken::new(next.to_string())) })
        })
    }

    #[test]
    fn refuses_a_token_that_loops_whatever_the_length_of_the_loop() {
        for (lead, period) in [(1, 1), (1, 2), (2, 3), (5, 7), (100, 64), (3, 1000)] {
            let mut pages = looping(lead, period);
            let error = pages.find_map(Result::err).expect("the loop is found");
            assert!(matches!(error, StoreError::ListingLoops { .. }), "{error}");
            assert!(pages.next().is_none(), "nothing follows the error");
        }
    }

    #[test]
    fn walks_every_page_once_and_skips_empty_ones() {
        let mut tokens = Vec::new();
        let found: Vec<u64> = Pages::new("p", |after| {
            let at: u64 = after.map_or(0, |token| token.as_str().parse().expect("own token"));
            tokens.push(at);
            let items = if at.is_multiple_of(2) { vec![at, at] } else { Vec::new() };
            Ok(Page { items, next: (at < 4).then(|| PageToken::new((at + 1).to_string())) })
        })
        .map(|item| item.expect("no error"))
        .collect();
        assert_eq!(found, [0, 0, 2, 2, 4, 4]);
        assert_eq!(tokens, [0, 1, 2, 3, 4]);
    }
}

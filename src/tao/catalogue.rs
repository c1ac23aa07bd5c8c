//! The CSV file of the models that are wanted (A-10 to A-15).

use super::architectures::{self, ArchitectureError};
use super::model::{Model, ModelError};
use crate::error::Class;
use csv::StringRecord;
use std::collections::HashMap;
use uuid::Uuid;

/// The header of a catalogue.
pub const HEADER: &str = "displayName,ngc_path,network_arch,is_backbone";
/// Longest catalogue, in bytes.
pub const CATALOGUE_LEN_MAX: u64 = 16 << 20;
/// Longest name that is shown for a model, in characters.
pub const NAME_COUNT_MAX: usize = 500;

/// A model that a row asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The line where the row begins, from 1.
    pub line_number: u64,
    /// The name that people see.
    pub name: String,
    /// Which model.
    pub model: Model,
    /// What it is used for: a name of [`architectures::names`].
    pub architecture: String,
    /// Whether it is a backbone; nothing where the row does not say.
    pub is_backbone: Option<bool>,
}

/// A row that asks for nothing that can be had.
#[derive(Debug, PartialEq, Eq)]
pub struct RefusedRow {
    /// The line where the row begins, from 1.
    pub line_number: u64,
    /// Why.
    pub rule: RowRule,
}

/// Why a row is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowRule {
    /// A-11: three or four columns.
    #[error("it has {found} columns, not 3 or 4")]
    ColumnCount {
        /// How many it has.
        found: usize,
    },
    /// A-12: the first row is the header.
    #[error("the first row is the header, {HEADER}, and this one names a model")]
    NoHeader,
    /// A-13: the name is not empty and not too long.
    #[error("the name has {found} characters, not 1 to {NAME_COUNT_MAX}")]
    NameLen {
        /// How many it has.
        found: usize,
    },
    /// A-13: the path names a model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A-13: the architecture is one whose models the platform can list.
    #[error(transparent)]
    Architecture(#[from] ArchitectureError),
    /// A-14: a later row has the same id.
    #[error("line {later_line_number} asks for the same entry again and stands")]
    Repeated {
        /// The line of the later row, from 1.
        later_line_number: u64,
    },
}

/// What a catalogue asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// What can be had, in order of lines.
    pub wanted: Vec<Wanted>,
    /// What can't be had, in order of lines.
    pub refused: Vec<RefusedRow>,
}

/// Why a file is no catalogue.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogueError {
    /// A-10: at most 16 MiB.
    #[error("the catalogue is longer than {CATALOGUE_LEN_MAX} bytes")]
    TooLong,
    /// A-10: UTF-8 and CSV.
    #[error("the catalogue is not CSV in UTF-8")]
    NotCsv(#[source] csv::Error),
}

impl CatalogueError {
    /// Returns whose problem it is.
    pub const fn class(&self) -> Class {
        Class::Usage
    }
}

impl Catalogue {
    /// Returns what `bytes` ask for.
    ///
    /// # Errors
    /// Refuses what is too long or no CSV. A row that can't be had refuses nothing but itself.
    pub fn parse(bytes: &[u8]) -> Result<Catalogue, CatalogueError> {
        if bytes.len() as u64 > CATALOGUE_LEN_MAX {
            return Err(CatalogueError::TooLong);
        }
        let bytes = &with_one_line_end(bytes);
        let mut reader = csv::ReaderBuilder::new();
        let reader = reader.has_headers(false).flexible(true).comment(Some(b'#'));
        let mut catalogue = Catalogue::default();
        for (index, record) in reader.from_reader(bytes.as_slice()).records().enumerate() {
            let record = record.map_err(CatalogueError::NotCsv)?;
            let line_number = record.position().map_or(Some(0), |position| line_number(bytes, position));
            // A comment that ends with the file is a record to the reader of CSV.
            let Some(line_number) = line_number else { continue };
            if index == 0 {
                // Whatever else is wrong with it.
                if record.get(1).is_some_and(|path| Model::parse(path).is_ok()) {
                    catalogue.refused.push(RefusedRow { line_number, rule: RowRule::NoHeader });
                }
                continue;
            }
            match wanted(&record, line_number) {
                Ok(wanted) => catalogue.wanted.push(wanted),
                Err(rule) => catalogue.refused.push(RefusedRow { line_number, rule }),
            }
        }
        catalogue.keep_last();
        Ok(catalogue)
    }

    /// Leaves the last of the rows that have one id, as the platform does, and names the others (A-14).
    fn keep_last(&mut self) {
        let id = |one: &Wanted| one.model.id(&one.architecture);
        let last: HashMap<Uuid, u64> = self.wanted.iter().map(|one| (id(one), one.line_number)).collect();
        let (kept, repeated) = std::mem::take(&mut self.wanted)
            .into_iter()
            .partition::<Vec<_>, _>(|one| last.get(&id(one)) == Some(&one.line_number));
        self.wanted = kept;
        self.refused.extend(repeated.iter().filter_map(|one| {
            let rule = RowRule::Repeated { later_line_number: *last.get(&id(one))? };
            Some(RefusedRow { line_number: one.line_number, rule })
        }));
        self.refused.sort_by_key(|row| row.line_number);
    }
}

/// Returns bytes whose lines end in one way, as Python reads a text (A-10).
fn with_one_line_end(bytes: &[u8]) -> Vec<u8> {
    let mut rest = bytes.iter().copied().peekable();
    let mut all = Vec::with_capacity(bytes.len());
    while let Some(byte) = rest.next() {
        let is_end = byte == b'\r';
        if is_end {
            rest.next_if_eq(&b'\n');
        }
        all.push(if is_end { b'\n' } else { byte });
    }
    all
}

/// Returns the line where a record begins: its position is before the blank lines and comments above it.
/// Nothing where these are all that is left.
fn line_number(bytes: &[u8], position: &csv::Position) -> Option<u64> {
    let at = usize::try_from(position.byte()).unwrap_or(usize::MAX);
    let mut lines = bytes.get(at..).unwrap_or_default().split(|byte| *byte == b'\n');
    let skipped = lines.position(|line| !matches!(line, [] | [b'#', ..]))?;
    Some(position.line() + skipped as u64)
}

/// Returns what a row asks for. Nothing is trimmed but the fourth column (A-11, A-13).
fn wanted(row: &StringRecord, line_number: u64) -> Result<Wanted, RowRule> {
    let (name, path, architecture, is_backbone) = match row.iter().collect::<Vec<_>>()[..] {
        [name, path, architecture] => (name, path, architecture, None),
        [name, path, architecture, is_backbone] => (name, path, architecture, truth(is_backbone)),
        _ => return Err(RowRule::ColumnCount { found: row.len() }),
    };
    let name_count = name.chars().count();
    if !(1..=NAME_COUNT_MAX).contains(&name_count) {
        return Err(RowRule::NameLen { found: name_count });
    }
    let model = Model::parse(path)?;
    architectures::usable(architecture)?;
    Ok(Wanted { line_number, name: name.to_owned(), model, architecture: architecture.to_owned(), is_backbone })
}

/// Returns what a fourth column says; anything unknown says nothing (A-11).
fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Some(true),
        "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(rows: &str) -> Catalogue {
        Catalogue::parse(format!("{HEADER}\n{rows}").as_bytes()).expect("CSV")
    }

    fn refused(rows: &str) -> Vec<(u64, String)> {
        parse(rows).refused.iter().map(|row| (row.line_number, row.rule.to_string())).collect()
    }

    #[test]
    fn reads_the_rows_of_the_guide() {
        let catalogue = parse(
            "# a comment, with, three, commas\n\n\
             DINO Detection,nvidia/tao/pretrained_dino:trainable_v1.0,dino,True\n\
             \"Pose, classified\",ngc://nvidia/tao/poseclassificationnet:trainable_v1.0,pose_classification\n\
             DETR,hf_model://facebook/detr-resnet-50,dino, no \n\
             Pointpillars,nvidia/tao/pointpillarnet:trainable_v1.0,pointpillars,\n# the end",
        );
        assert_eq!(catalogue.refused, []);
        let shown = |one: &Wanted| (one.line_number, one.name.clone(), one.model.to_string(), one.is_backbone);
        assert_eq!(
            catalogue.wanted.iter().map(shown).collect::<Vec<_>>(),
            [
                (4, "DINO Detection".into(), "nvidia/tao/pretrained_dino:trainable_v1.0".into(), Some(true)),
                (5, "Pose, classified".into(), "nvidia/tao/poseclassificationnet:trainable_v1.0".into(), None),
                (6, "DETR".into(), "facebook/detr-resnet-50".into(), Some(false)),
                (7, "Pointpillars".into(), "nvidia/tao/pointpillarnet:trainable_v1.0".into(), None),
            ]
        );
    }

    #[test]
    fn a_row_that_cannot_be_had_is_named_with_its_line_and_the_others_stand() {
        let rows = "a,nvidia/a:1,dino,True,\n\
                    b,nvidia/b:1\n\
                    c,nvidia/c:1, dino \n\
                    d,hf_model://d/d:main,dino\n\
                    ,nvidia/e:1,dino\n\
                    f,nvidia/f:1,huggingface\n\
                    g,nvidia/g:1,dino\n";
        let named = refused(rows);
        assert_eq!(named.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
        assert!(named[2].1.contains("\" dino \" is no architecture"), "{}", named[2].1);
        assert!(named[5].1.contains("inference is no intent"), "{}", named[5].1);
        assert_eq!(parse(rows).wanted.len(), 1);
    }

    #[test]
    fn lines_may_end_in_three_ways() {
        let catalogue = Catalogue::parse(b"a,b,c\r\n\rd,nvidia/d:1,dino\n\re,nvidia/e:1,dino\r").expect("CSV");
        assert_eq!(catalogue.wanted.iter().map(|one| one.line_number).collect::<Vec<_>>(), [3, 5]);
    }

    #[test]
    fn a_first_row_that_is_no_header_is_not_lost() {
        let catalogue = Catalogue::parse(b"a,nvidia/a:1,dino\nb,nvidia/b:1,dino\n").expect("CSV");
        assert_eq!(catalogue.refused, [RefusedRow { line_number: 1, rule: RowRule::NoHeader }]);
        assert_eq!(catalogue.wanted.len(), 1);
    }

    #[test]
    fn the_last_of_two_rows_with_one_id_stands_and_the_first_is_named() {
        let rows = "a,hf_model://a/b,dino\nb,hf_model://a/b,segformer\nc,nvidia/c:1,dino\nd,nvidia/c:1,segformer\n";
        assert_eq!(parse(rows).wanted.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["b", "c", "d"]);
        assert_eq!(
            parse(rows).refused,
            [RefusedRow { line_number: 2, rule: RowRule::Repeated { later_line_number: 3 } }]
        );
    }

    #[test]
    fn refuses_what_is_no_csv_in_utf8_or_too_long() {
        assert!(matches!(Catalogue::parse(b"a\n\xff,b,c\n"), Err(CatalogueError::NotCsv(_))));
        let long = vec![b'\n'; CATALOGUE_LEN_MAX as usize + 1];
        assert!(matches!(Catalogue::parse(&long), Err(CatalogueError::TooLong)));
        assert_eq!(Catalogue::parse(b"").expect("empty"), Catalogue::default());
    }
}

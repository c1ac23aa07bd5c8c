//! A store over the S3 interface, made for SeaweedFS.
//!
//! Each body goes out as it is, uncopied, with a CRC-64/NVME that the server checks before it
//! keeps anything. There is no other hash: the client's own checksums are off, and the body is
//! left out of the signature where TLS or the machine itself guards it.

mod calls;
mod options;
mod watch;

pub use options::{PlainHttp, S3Options};
pub use watch::Patience;

use super::local::check_order;
use super::{
    Attributes, Call, Cause, Condition, IfMissing, Key, Listed, ListedPart, Loaded, OpenUpload, Page, PageToken,
    PartNumber, PartTag, Stat, Store, StoreError, Stored, Tag, UploadId, UploadedPart,
};
use crate::format::Proven;
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::{Bytes, BytesMut};
use calls::{Answer, Failed, run};
use std::cell::Cell;
use std::fmt;
use std::ops::Range;
use tokio::runtime::Runtime;
use watch::Watch;

/// Longest answer other than an object's bytes: a page of a thousand keys of 1024 bytes, each of
/// which XML may escape.
const ANSWER_LEN_MAX: u64 = 8 << 20;
/// What is compared at a time when a put may have been carried out unheard.
const COMPARE_LEN: u64 = 4 << 20;

/// A store over the S3 interface.
///
/// Calls come from plain threads and block them; two threads of its own move the bytes. Must not
/// be used from inside another asynchronous runtime.
pub struct S3Store {
    runtime: Runtime,
    client: Client,
    endpoint: String,
    bucket: String,
    signs_bodies: bool,
    patience: Patience,
}

impl S3Store {
    /// Returns the store that the options and the AWS environment name. Sends nothing.
    ///
    /// # Errors
    /// [`StoreError::BadOption`] and [`StoreError::PlainHttp`].
    pub fn open(options: &S3Options) -> Result<S3Store, StoreError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("airlift-s3")
            .enable_all()
            .build()
            .map_err(|source| StoreError::Io { action: "start the threads of", path: "S3".into(), source })?;
        let connection = runtime.block_on(options::connect(options))?;
        Ok(S3Store {
            runtime,
            client: connection.client,
            endpoint: connection.endpoint,
            bucket: options.bucket.clone(),
            signs_bodies: connection.signs_bodies,
            patience: options.patience,
        })
    }

    /// Returns scheme, host and port of the server.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Runs a call that sends no body of ours.
    fn call<T>(
        &self,
        call: Call,
        key: &str,
        recognise: impl Fn(Answer) -> Option<StoreError>,
        attempt: impl AsyncFn(&Watch) -> Result<T, Failed>,
    ) -> Result<T, StoreError> {
        self.call_with(None, ANSWER_LEN_MAX, call, key, recognise, attempt)
    }

    fn call_with<T>(
        &self,
        body: Option<&Bytes>,
        answer_len_max: u64,
        call: Call,
        key: &str,
        recognise: impl Fn(Answer) -> Option<StoreError>,
        attempt: impl AsyncFn(&Watch) -> Result<T, Failed>,
    ) -> Result<T, StoreError> {
        let recognise = |answer: Answer| match answer.code {
            Some("NoSuchBucket") => Some(StoreError::BucketMissing { bucket: self.bucket.clone() }),
            _ => recognise(answer),
        };
        run(&self.patience, call, key, recognise, || {
            let watch = Watch::new(body.cloned(), answer_len_max);
            let outcome = self.runtime.block_on(watch.over(&self.patience, attempt(&watch)));
            outcome.unwrap_or_else(|cause| Err(Failed::because(cause)))
        })
    }

    fn complete(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[UploadedPart],
        last: PartNumber,
        condition: &Condition,
    ) -> Result<Stored, StoreError> {
        let parts: Vec<CompletedPart> = parts
            .iter()
            .map(|part| {
                CompletedPart::builder().part_number(part.number.number().into()).e_tag(part.tag.as_str()).build()
            })
            .collect();
        let recognise = |answer: Answer| match answer.code {
            Some("InvalidPart" | "InvalidPartOrder" | "EntityTooSmall") => {
                Some(StoreError::PartsRefused { key: key.clone(), last })
            }
            _ => condition_refused(key, condition, answer).or_else(|| upload_missing(key, upload, answer)),
        };
        self.call(Call::FinishUpload, key.as_str(), recognise, async |watch| {
            let request = self.client.complete_multipart_upload().bucket(&self.bucket).key(key.as_str());
            let list = CompletedMultipartUpload::builder().set_parts(Some(parts.clone())).build();
            let request = request
                .upload_id(upload.as_str())
                .multipart_upload(list)
                .set_if_none_match(if_none_match(condition))
                .set_if_match(if_match(condition));
            let answer = request.customize().interceptor(watch.clone()).send().await.map_err(failed)?;
            // A success that does not say what it made is an error document (T04).
            Ok(Stored { tag: Tag::new(answer.e_tag.ok_or_else(unreadable)?) })
        })
    }

    /// Tells whether the object has exactly these bytes, whoever put them.
    fn holds(&self, key: &Key, body: &Bytes) -> Result<Option<Tag>, StoreError> {
        let Some(stat) = self.stat(key)? else { return Ok(None) };
        if stat.len != body.len() as u64 {
            return Ok(None);
        }
        let mut offset = 0;
        while offset < stat.len {
            let end = stat.len.min(offset + COMPARE_LEN);
            if self.read(key, offset..end)? != body[offset as usize..end as usize] {
                return Ok(None);
            }
            offset = end;
        }
        Ok(Some(stat.tag))
    }
}

/// Shows neither the client nor its credentials.
impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store").field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

impl Store for S3Store {
    fn ensure_bucket(&self, if_missing: IfMissing) -> Result<(), StoreError> {
        let missing = || StoreError::BucketMissing { bucket: self.bucket.clone() };
        let is_missing = |answer: Answer| (answer.status == 404).then(missing);
        let look = || {
            self.call(Call::EnsureBucket, &self.bucket, is_missing, async |watch| {
                let request = self.client.head_bucket().bucket(&self.bucket);
                request.customize().interceptor(watch.clone()).send().await.map_err(failed)
            })
        };
        match look() {
            Ok(_) => Ok(()),
            Err(StoreError::BucketMissing { .. }) if if_missing == IfMissing::Create => {
                let exists = Cell::new(false);
                let recognise = |answer: Answer| {
                    exists.set(matches!(answer.code, Some("BucketAlreadyExists" | "BucketAlreadyOwnedByYou")));
                    exists.get().then(missing)
                };
                let created = self.call(Call::EnsureBucket, &self.bucket, recognise, async |watch| {
                    let request = self.client.create_bucket().bucket(&self.bucket);
                    request.customize().interceptor(watch.clone()).send().await.map_err(failed)
                });
                match created {
                    Ok(_) => Ok(()),
                    // Another importer was faster.
                    Err(_) if exists.get() => look().map(|_| ()),
                    Err(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    fn put(
        &self,
        key: &Key,
        body: &Proven,
        attributes: &Attributes,
        condition: &Condition,
    ) -> Result<Stored, StoreError> {
        let bytes = body.bytes();
        let checksum = crc64(bytes);
        let may_be_ours = Cell::new(false);
        let recognise = |answer: Answer| {
            let refused = condition_refused(key, condition, answer);
            may_be_ours.set(refused.is_some() && answer.may_be_done);
            refused
        };
        let outcome = self.call_with(Some(bytes), ANSWER_LEN_MAX, Call::Put, key.as_str(), recognise, async |watch| {
            let request = self.client.put_object().bucket(&self.bucket).key(key.as_str());
            let request = request
                .body(ByteStream::from(bytes.clone()))
                .content_length(signed(bytes.len()))
                .checksum_crc64_nvme(&checksum)
                .set_content_type(content_type(attributes))
                .set_metadata(metadata(attributes))
                .set_if_none_match(if_none_match(condition))
                .set_if_match(if_match(condition));
            let request = request.customize().interceptor(watch.clone());
            let request = if self.signs_bodies { request } else { request.disable_payload_signing() };
            let answer = request.send().await.map_err(failed)?;
            Ok(Stored { tag: Tag::new(answer.e_tag.ok_or_else(unreadable)?) })
        });
        match outcome {
            // The attempt that was not heard may have been the one that made the condition fail.
            Err(StoreError::ConditionFailed { .. }) if may_be_ours.get() => match self.holds(key, bytes)? {
                Some(tag) => Ok(Stored { tag }),
                None => Err(StoreError::ConditionFailed { key: key.clone() }),
            },
            outcome => outcome,
        }
    }

    fn stat(&self, key: &Key) -> Result<Option<Stat>, StoreError> {
        let missing = |answer: Answer| not_found(key, answer);
        let outcome = self.call(Call::Stat, key.as_str(), missing, async |watch| {
            let request = self.client.head_object().bucket(&self.bucket).key(key.as_str());
            let answer = request.customize().interceptor(watch.clone()).send().await.map_err(failed)?;
            Ok(Stat {
                len: answer.content_length.and_then(|len| u64::try_from(len).ok()).ok_or_else(unreadable)?,
                tag: Tag::new(answer.e_tag.ok_or_else(unreadable)?),
                attributes: Attributes {
                    content_type: answer.content_type.unwrap_or_default(),
                    metadata: answer.metadata.unwrap_or_default().into_iter().collect(),
                },
            })
        });
        absent_as_none(outcome)
    }

    fn read(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        let expected_len = range.end.saturating_sub(range.start);
        let short =
            |found_len| StoreError::ShortAnswer { key: key.clone(), offset: range.start, expected_len, found_len };
        if expected_len == 0 {
            // There is no way to ask for no bytes; whether they exist is still a question.
            let stat = self.stat(key)?.ok_or_else(|| StoreError::NotFound { key: key.clone() })?;
            return if range.start <= stat.len { Ok(Bytes::new()) } else { Err(short(0)) };
        }
        let recognise = |answer: Answer| match answer.status {
            416 => Some(short(0)),
            _ => not_found(key, answer),
        };
        let last = range.start + expected_len - 1;
        let answer_len_max = expected_len.max(ANSWER_LEN_MAX);
        let read = self.call_with(None, answer_len_max, Call::Read, key.as_str(), recognise, async |watch| {
            let request = self.client.get_object().bucket(&self.bucket).key(key.as_str());
            let request = request.range(format!("bytes={}-{last}", range.start));
            let answer = request.customize().interceptor(watch.clone()).send().await.map_err(failed)?;
            let starts_there = match &answer.content_range {
                Some(text) => text.starts_with(&format!("bytes {}-", range.start)),
                None => range.start == 0,
            };
            match length(&answer) {
                Some(len) if len == expected_len && starts_there => collect(answer, len).await.map(Ok),
                Some(len) => Ok(Err(len)),
                None => Err(unreadable()),
            }
        })?;
        read.map_err(short)
    }

    fn load(&self, key: &Key, len_max: u64) -> Result<Option<Loaded>, StoreError> {
        let missing = |answer: Answer| not_found(key, answer);
        let answer_len_max = len_max.max(ANSWER_LEN_MAX);
        let outcome = self.call_with(None, answer_len_max, Call::Load, key.as_str(), missing, async |watch| {
            let request = self.client.get_object().bucket(&self.bucket).key(key.as_str());
            let mut answer = request.customize().interceptor(watch.clone()).send().await.map_err(failed)?;
            let tag = Tag::new(answer.e_tag.take().ok_or_else(unreadable)?);
            match length(&answer) {
                Some(len) if len > len_max => Ok(None),
                Some(len) => Ok(Some(Loaded { bytes: collect(answer, len).await?, tag })),
                None => Err(unreadable()),
            }
        });
        match outcome {
            Ok(Some(loaded)) => Ok(Some(loaded)),
            Ok(None) => Err(StoreError::TooLong { key: key.clone(), len_max }),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn list(&self, prefix: &str, after: Option<&PageToken>) -> Result<Page<Listed>, StoreError> {
        let answer = self.call(
            Call::List,
            prefix,
            |_| None,
            async |watch| {
                let request = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix);
                let request = request.set_continuation_token(after.map(|token| token.as_str().to_owned()));
                request.customize().interceptor(watch.clone()).send().await.map_err(failed)
            },
        )?;
        let mut items = Vec::new();
        for object in answer.contents.unwrap_or_default() {
            let key = inside(prefix, object.key)?;
            let len = object.size.and_then(|len| u64::try_from(len).ok());
            let Some(len) = len else { return Err(unreadable_answer(Call::List, prefix)) };
            items.push(Listed { key, len, tag: object.e_tag.map(Tag::new) });
        }
        let next =
            next_token(answer.is_truncated, answer.next_continuation_token, || unreadable_answer(Call::List, prefix))?;
        Ok(Page { items, next })
    }

    fn remove(&self, key: &Key) -> Result<(), StoreError> {
        let missing = |answer: Answer| not_found(key, answer);
        let outcome = self.call(Call::Remove, key.as_str(), missing, async |watch| {
            let request = self.client.delete_object().bucket(&self.bucket).key(key.as_str());
            request.customize().interceptor(watch.clone()).send().await.map_err(failed)
        });
        absent_as_none(outcome).map(|_| ())
    }

    /// An attempt whose answer is lost leaves an upload that nobody knows: [`Store::list_uploads`]
    /// finds it.
    fn open_upload(&self, key: &Key, attributes: &Attributes) -> Result<UploadId, StoreError> {
        self.call(
            Call::OpenUpload,
            key.as_str(),
            |_| None,
            async |watch| {
                let request = self.client.create_multipart_upload().bucket(&self.bucket).key(key.as_str());
                let request = request.set_content_type(content_type(attributes)).set_metadata(metadata(attributes));
                let answer = request.customize().interceptor(watch.clone()).send().await.map_err(failed)?;
                answer.upload_id.map(UploadId::new).ok_or_else(unreadable)
            },
        )
    }

    fn put_part(&self, key: &Key, upload: &UploadId, number: PartNumber, body: &Proven) -> Result<PartTag, StoreError> {
        let bytes = body.bytes();
        let checksum = crc64(bytes);
        let missing = |answer: Answer| upload_missing(key, upload, answer);
        self.call_with(Some(bytes), ANSWER_LEN_MAX, Call::PutPart, key.as_str(), missing, async |watch| {
            let request = self.client.upload_part().bucket(&self.bucket).key(key.as_str());
            let request = request
                .upload_id(upload.as_str())
                .part_number(number.number().into())
                .body(ByteStream::from(bytes.clone()))
                .content_length(signed(bytes.len()))
                .checksum_crc64_nvme(&checksum);
            let request = request.customize().interceptor(watch.clone());
            let request = if self.signs_bodies { request } else { request.disable_payload_signing() };
            let answer = request.send().await.map_err(failed)?;
            answer.e_tag.map(PartTag::new).ok_or_else(unreadable)
        })
    }

    fn list_parts(
        &self,
        key: &Key,
        upload: &UploadId,
        after: Option<&PageToken>,
    ) -> Result<Page<ListedPart>, StoreError> {
        let missing = |answer: Answer| upload_missing(key, upload, answer);
        let answer = self.call(Call::ListParts, key.as_str(), missing, async |watch| {
            let request = self.client.list_parts().bucket(&self.bucket).key(key.as_str()).upload_id(upload.as_str());
            let request = request.set_part_number_marker(after.map(|token| token.as_str().to_owned()));
            request.customize().interceptor(watch.clone()).send().await.map_err(failed)
        })?;
        let unreadable = || unreadable_answer(Call::ListParts, key.as_str());
        let mut items = Vec::new();
        for part in answer.parts.unwrap_or_default() {
            let number = part.part_number.and_then(|number| PartNumber::new(u16::try_from(number).ok()?));
            let len = part.size.and_then(|len| u64::try_from(len).ok());
            let (Some(number), Some(len), Some(tag)) = (number, len, part.e_tag) else { return Err(unreadable()) };
            items.push(ListedPart { part: UploadedPart { number, tag: PartTag::new(tag) }, len });
        }
        let next = next_token(answer.is_truncated, answer.next_part_number_marker, unreadable)?;
        Ok(Page { items, next })
    }

    fn finish_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[UploadedPart],
        condition: &Condition,
    ) -> Result<Stored, StoreError> {
        let last = check_order(key, parts)?;
        let outcome = self.complete(key, upload, parts, last, condition);
        if !matches!(outcome, Err(StoreError::ConditionFailed { .. })) {
            return outcome;
        }
        // Perhaps this upload itself made the condition fail, in an attempt that was not heard or
        // in a run before. Then it is gone, and the server knows what became of it.
        match self.list_parts(key, upload, None) {
            Err(StoreError::UploadMissing { .. }) => {}
            Err(error) => return Err(error),
            Ok(_) => return outcome,
        }
        match self.complete(key, upload, parts, last, &Condition::Any) {
            Err(StoreError::UploadMissing { .. }) => outcome,
            answer => answer,
        }
    }

    fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<(), StoreError> {
        let missing = |answer: Answer| upload_missing(key, upload, answer);
        let outcome = self.call(Call::AbortUpload, key.as_str(), missing, async |watch| {
            let request = self.client.abort_multipart_upload().bucket(&self.bucket).key(key.as_str());
            request.upload_id(upload.as_str()).customize().interceptor(watch.clone()).send().await.map_err(failed)
        });
        match outcome {
            Ok(_) | Err(StoreError::UploadMissing { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn list_uploads(&self, prefix: &str, after: Option<&PageToken>) -> Result<Page<OpenUpload>, StoreError> {
        // The id first: it has no line break, and another writer's key may have one.
        let marker = after.and_then(|token| token.as_str().split_once('\n'));
        let answer = self.call(
            Call::ListUploads,
            prefix,
            |_| None,
            async |watch| {
                let request = self.client.list_multipart_uploads().bucket(&self.bucket).prefix(prefix);
                let request = request
                    .set_upload_id_marker(marker.map(|(id, _)| id.to_owned()))
                    .set_key_marker(marker.map(|(_, key)| key.to_owned()));
                request.customize().interceptor(watch.clone()).send().await.map_err(failed)
            },
        )?;
        let unreadable = || unreadable_answer(Call::ListUploads, prefix);
        let mut items = Vec::new();
        for upload in answer.uploads.unwrap_or_default() {
            let key = inside(prefix, upload.key)?;
            let Some(id) = upload.upload_id else { return Err(unreadable()) };
            let opened_at_ms = upload.initiated.and_then(|time| u64::try_from(time.to_millis().ok()?).ok());
            items.push(OpenUpload { key, upload: UploadId::new(id), opened_at_ms });
        }
        let id = answer.next_upload_id_marker.unwrap_or_default();
        let token = answer.next_key_marker.map(|key| format!("{id}\n{key}"));
        let next = next_token(answer.is_truncated, token, unreadable)?;
        Ok(Page { items, next })
    }
}

fn failed<E: ProvideErrorMetadata>(error: SdkError<E, HttpResponse>) -> Failed {
    Failed::of(&error)
}

fn unreadable() -> Failed {
    Failed::because(Cause::Unreadable)
}

fn unreadable_answer(call: Call, key: &str) -> StoreError {
    StoreError::Unavailable { call, key: key.to_owned(), attempts: 1, cause: Cause::Unreadable }
}

fn not_found(key: &Key, answer: Answer) -> Option<StoreError> {
    (answer.status == 404).then(|| StoreError::NotFound { key: key.clone() })
}

fn absent_as_none<T>(outcome: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn upload_missing(key: &Key, upload: &UploadId, answer: Answer) -> Option<StoreError> {
    (answer.status == 404).then(|| StoreError::UploadMissing { key: key.clone(), upload: upload.clone() })
}

/// Recognises a condition that did not hold; an object that is not there has no tag either.
fn condition_refused(key: &Key, condition: &Condition, answer: Answer) -> Option<StoreError> {
    let refused = match condition {
        Condition::Any => false,
        Condition::Absent => answer.status == 412,
        Condition::IfTag(_) => answer.status == 412 || answer.code == Some("NoSuchKey"),
    };
    refused.then(|| StoreError::ConditionFailed { key: key.clone() })
}

fn if_none_match(condition: &Condition) -> Option<String> {
    (*condition == Condition::Absent).then(|| "*".to_owned())
}

fn if_match(condition: &Condition) -> Option<String> {
    match condition {
        Condition::IfTag(tag) => Some(tag.as_str().to_owned()),
        _ => None,
    }
}

fn content_type(attributes: &Attributes) -> Option<String> {
    (!attributes.content_type.is_empty()).then(|| attributes.content_type.clone())
}

fn metadata(attributes: &Attributes) -> Option<std::collections::HashMap<String, String>> {
    let pairs = attributes.metadata.iter().map(|(name, value)| (name.clone(), value.clone()));
    (!attributes.metadata.is_empty()).then(|| pairs.collect())
}

/// Returns the checksum as the header has it: big-endian, in base64.
fn crc64(bytes: &[u8]) -> String {
    let checksum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes);
    aws_smithy_types::base64::encode(checksum.to_be_bytes())
}

/// A body is at most a part, so its length always fits.
fn signed(len: usize) -> i64 {
    i64::try_from(len).unwrap_or(i64::MAX)
}

fn length(answer: &GetObjectOutput) -> Option<u64> {
    answer.content_length.and_then(|len| u64::try_from(len).ok())
}

/// Reads the bytes of an object, of which the answer has promised `len`.
async fn collect(answer: GetObjectOutput, len: u64) -> Result<Bytes, Failed> {
    let mut body = answer.body;
    let mut bytes = BytesMut::with_capacity(usize::try_from(len).map_err(|_| unreadable())?);
    while let Some(slice) = body.next().await {
        let slice =
            slice.map_err(|_| Failed::because(Cause::Transport { reason: "the answer broke off".to_owned() }))?;
        bytes.extend_from_slice(&slice);
    }
    if bytes.len() as u64 == len { Ok(bytes.freeze()) } else { Err(unreadable()) }
}

fn inside(prefix: &str, key: Option<String>) -> Result<String, StoreError> {
    let key = key.unwrap_or_default();
    if key.starts_with(prefix) { Ok(key) } else { Err(StoreError::MisplacedKey { prefix: prefix.to_owned(), key }) }
}

/// Returns where the next page starts; a server that says "more" must say where.
fn next_token(
    is_truncated: Option<bool>,
    token: Option<String>,
    unreadable: impl Fn() -> StoreError,
) -> Result<Option<PageToken>, StoreError> {
    match (is_truncated.unwrap_or(false), token) {
        (false, _) => Ok(None),
        (true, Some(token)) => Ok(Some(PageToken::new(token))),
        (true, None) => Err(unreadable()),
    }
}

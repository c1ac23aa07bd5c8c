//! What a person can do about each kind of failure: the second half of every error line (C-11).

use airlift::error::Class;
use airlift::media::MediaError;
use airlift::pipeline::bundle::BundleError;
use airlift::pipeline::export::ExportError;
use airlift::pipeline::import::{ImportError, MappingError};
use airlift::pipeline::pack::PackError;
use airlift::pipeline::sign::SignError;
use airlift::pipeline::trust_files::TrustFileError;
use airlift::pipeline::walk::WalkError;
use airlift::pipeline::write::WriteError;
use airlift::store::StoreError;
use airlift::tao::api::{ApiError, LoadCause};
use airlift::tao::check::Remark;
use airlift::tao::doctor::{Note, Wrong};
use airlift::tao::fetch::FetchError;
use airlift::tao::fetch::remote::RemoteError;
use airlift::tao::http::HttpError;
use airlift::tao::images::registry::RegistryError;
use airlift::tao::model_registry::ModelRegistryError;
use airlift::tao::register::{Problem, RegisterError};
use airlift::tao::tree::TreeError;
use airlift::trust::{ReleaseError, TrustError};

/// Returns what to do where nothing more is known than the class.
pub(crate) const fn of_class(class: Class) -> &'static str {
    match class {
        Class::Usage => "airlift --help shows what there is",
        Class::Damaged => "get another copy of what is named and repeat the command",
        Class::Untrusted => "do not use this bundle, and ask its sender by another way",
        Class::Incomplete => "bring what is missing and repeat the command",
        Class::Unavailable => "repeat the command later",
        Class::Refused => "nothing was changed; change the command or the policy if it is meant",
        Class::BaseMissing => "import the release that it builds on first, or ask for a complete bundle",
        Class::Older => "nothing was changed; ask the sender which release is due",
        Class::NoSpace => "free some space and repeat the command",
        Class::Bug => "this is a defect of airlift: report it with this line",
        Class::Interrupted => "repeating the command resumes",
        _ => "correct that and repeat the command",
    }
}

pub(crate) fn of_media(error: &MediaError) -> &'static str {
    match error {
        MediaError::NoBundle { .. } => "name a directory with a head.json, or the directory above it",
        MediaError::NotRegular { .. } | MediaError::NotDirectory { .. } => {
            "a bundle has no links or devices: get another copy of it"
        }
        MediaError::Mounted { .. } => "unmount it: a bundle lies in one file system",
        MediaError::Gone { .. } => {
            "insert the medium again and repeat the command; if it fails again, get another copy"
        }
        MediaError::TooManySignatures { .. } => "keep at most 16 signatures in it",
        MediaError::Read { .. } => "the medium fails: get another copy of what is named",
        error => of_class(error.class()),
    }
}

pub(crate) fn of_bundle(error: &BundleError) -> &'static str {
    match error {
        BundleError::Missing { .. } => "name another medium of the same bundle as well",
        error => of_class(error.class()),
    }
}

pub(crate) const fn of_trust(error: &TrustError) -> &'static str {
    match error {
        TrustError::NoSignatures => "have it signed: airlift sign BUNDLE KEY",
        TrustError::TooFewPrincipals { .. } => "have it signed by someone whom the allowed signers list",
        TrustError::WrongAudience { expected: None, .. } => "if that is this enclave, say so with --audience",
        TrustError::WrongAudience { .. } => "it is not meant for this enclave",
        TrustError::PastEnd { .. } => "ask its sender for a newer bundle",
        TrustError::UnknownCritical { .. } => "use a newer version of airlift",
        error => of_class(error.class()),
    }
}

pub(crate) const fn of_trust_file(error: &TrustFileError) -> &'static str {
    match error {
        TrustFileError::Unreadable { .. } => "name a file that can be read; no default takes its place",
        _ => "correct that line: one line that is not understood refuses the whole file",
    }
}

pub(crate) fn of_sign(error: &SignError) -> &'static str {
    match error {
        SignError::CannotRun { .. } => "install OpenSSH 8.9 or later",
        SignError::NotSigned { .. } => "see what ssh-keygen said above",
        SignError::NotAccepted { .. } => "use an ed25519, ecdsa or security key",
        SignError::NoNumberLeft { .. } => "remove signatures that nobody needs",
        error => of_class(error.class()),
    }
}

pub(crate) fn of_pack(error: &PackError) -> &'static str {
    match error {
        PackError::VolumeTooSmall { .. } => "give a --volume-size of at least 64MiB",
        PackError::PartTooLarge { .. } => "give a larger --volume-size",
        PackError::TooManyVolumes { .. } => "give a larger --volume-size",
        PackError::NoFile => "name directories with files",
        PackError::OutputInUse { .. } => "name a new or empty directory with --out",
        PackError::OtherArguments { .. } => "repeat the first command as it was, or remove the directory",
        PackError::OutputLocked { .. } => "wait until that is done",
        PackError::ChangedSince { .. } | PackError::AttachmentChanged { .. } | PackError::StateDamaged { .. } => {
            "remove the output directory and pack again"
        }
        PackError::Walk(WalkError::Refused { .. }) => {
            "rename or remove what is named; --skip-unsupported leaves out links, pipes and devices"
        }
        PackError::Walk(WalkError::Changed { .. }) => "let nothing write there, and repeat the command",
        PackError::Walk(WalkError::BadRoot { .. }) => "correct that directory, or leave the root out",
        PackError::Walk(WalkError::OwnDirectory { .. }) => "name an --out outside the roots",
        error => of_class(error.class()),
    }
}

pub(crate) fn of_fetch(error: &FetchError) -> &'static str {
    match error {
        FetchError::InUse { .. } => "wait until that is done",
        FetchError::NoKey => "set PTM_API_KEY, or name a file with --ngc-key-file",
        FetchError::Remote(RemoteError::Http(HttpError::AccessRefused { .. })) => "use a key that may see it",
        FetchError::Remote(RemoteError::Http(HttpError::CertificateRefused { .. })) => {
            "name the right authority with --ca-file"
        }
        FetchError::Remote(
            RemoteError::TooManyPages { .. }
            | RemoteError::ListTooLong { .. }
            | RemoteError::PageAgain { .. }
            | RemoteError::BadLink { .. }
            | RemoteError::Http(HttpError::NotAnswer { .. } | HttpError::TooLong { .. }),
        ) => "see that --ngc-endpoint and --hf-endpoint name the sources and that no proxy answers for them",
        error => of_class(error.class()),
    }
}

pub(crate) fn of_api(error: &ApiError) -> &'static str {
    match error {
        ApiError::Http(HttpError::Unreachable { .. } | HttpError::NotAnswer { .. }) => {
            "see that --api is the platform's address and that it runs, and repeat the command"
        }
        ApiError::Http(HttpError::CertificateRefused { .. }) => "name the right authority with --ca-file",
        ApiError::NoApi { .. } => "name the platform's address with --api, or another --api-version",
        ApiError::DiskFull { .. } => "free space on the platform's disk and repeat the command",
        ApiError::OtherUser { .. } => "log in as its owner with --user, or give another --workspace",
        ApiError::ListBroken { .. } => {
            "find the entry in the platform's log, load it with good values and repeat the command"
        }
        ApiError::NotLoaded { cause } => of_load(cause),
        error => of_class(error.class()),
    }
}

fn of_load(cause: &LoadCause) -> &'static str {
    match cause {
        LoadCause::NoObject { .. } => "see that --store-endpoint is the store that the models were imported to",
        LoadCause::NoBucket => "see that --store-endpoint is the store that has the bucket",
        LoadCause::KeysRefused => "use credentials that the store at --store-endpoint knows",
        LoadCause::StoreUnreachable { .. } => "give the store as the platform reaches it with --store-endpoint",
        LoadCause::NoRegistry => "airlift tao values prints what the platform's deployment has to be told",
        _ => "see the platform's log",
    }
}

pub(crate) fn of_register(error: &RegisterError) -> &'static str {
    match error {
        RegisterError::NoMetadata { .. } => "import the models there, or name their folder with --registry",
        RegisterError::Metadata { .. } | RegisterError::Poisoned { .. } => {
            "the platform was told nothing; correct the metadata, see airlift tao check, and import them again"
        }
        RegisterError::OtherRegistry { .. } => {
            "set its LOCAL_MODEL_REGISTRY (airlift tao values), or import the models where it looks"
        }
        RegisterError::ListBroken { .. } => "load that entry once more with good values, and repeat the command",
        error => of_class(error.class()),
    }
}

pub(crate) fn of_registry(error: &RegistryError) -> &'static str {
    match error {
        RegistryError::Http(HttpError::AccessRefused { .. }) => {
            "log in by docker login, or name a file with --auth-file"
        }
        RegistryError::Http(HttpError::CertificateRefused { .. }) => "name the right authority with --ca-file",
        RegistryError::Http(HttpError::Unreachable { .. }) => {
            "see that it runs and whether it has TLS: without, add --plain-http; repeating resumes"
        }
        error => of_class(error.class()),
    }
}

pub(crate) fn of_tree(error: &TreeError) -> &'static str {
    match error {
        TreeError::NoMetadata { .. } => "name the directory that airlift fetch or pretrained_models.py wrote",
        TreeError::MetadataLeftOut { .. } => "leave away the --exclude that matches it",
        TreeError::Unfinished { .. } => {
            "repeat that airlift fetch until it ends well; removing the directory gives up what it has begun"
        }
        TreeError::Metadata { .. } => "fetch the models again, or correct the file",
        error => of_class(error.class()),
    }
}

pub(crate) fn of_model_registry(error: &ModelRegistryError) -> &'static str {
    match error {
        ModelRegistryError::NotSaid => {
            "give --registry PATH, or the server's --config-env FILE or --values FILE: its settings decide"
        }
        ModelRegistryError::NoPath { .. } | ModelRegistryError::NotWrittenOut { .. } => {
            "give the path as the server has it, such as --registry shared-storage/models"
        }
        ModelRegistryError::Disagree { .. } => "correct the wrong one: models are found only where the server looks",
        ModelRegistryError::OtherBundle { .. } => {
            "set LOCAL_MODEL_REGISTRY of the server and what is said here to one path, or pack for this one"
        }
        ModelRegistryError::NotInFile { .. }
        | ModelRegistryError::NoValues { .. }
        | ModelRegistryError::NoText { .. }
        | ModelRegistryError::Unreadable { .. } => {
            "name the file that the server is started with, or give --registry PATH"
        }
        error => of_class(error.class()),
    }
}

pub(crate) fn of_wrong(wrong: &Wrong) -> &'static str {
    match wrong {
        Wrong::Registry(error) => of_model_registry(error),
        Wrong::HidesWeights { .. } => "write it with one slash before and none behind, as airlift tao values prints it",
        Wrong::StoreOptions(error) => of_named_store(error),
        Wrong::StoreSilent(HttpError::CertificateRefused { .. })
        | Wrong::ApiSilent(HttpError::CertificateRefused { .. }) => "name the right authority with --ca-file",
        Wrong::StoreSilent(_) => {
            "see that --endpoint is the store's address from here and that it runs: \
             kubectl get pods -l app.kubernetes.io/name=seaweedfs, or docker ps"
        }
        Wrong::Clock(_) => "set both clocks by one source of time, and repeat the command",
        Wrong::Credentials(_) => {
            "use the access key and the secret that the store knows: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or \
             --credentials-file"
        }
        Wrong::NoBucket(_) => "name the right one with --bucket, or let airlift import --create-bucket make it",
        Wrong::Store(error) => of_store(error),
        Wrong::Unfinished(_) => "repeat that airlift import until it ends well, or give it up with airlift abort",
        Wrong::NoMetadata { elsewhere, .. } if elsewhere.is_empty() => {
            "import the models there: airlift import --profile tao"
        }
        Wrong::NoMetadata { .. } => {
            "set the server's LOCAL_MODEL_REGISTRY to the folder that has them (airlift tao values), or import the \
             models where it looks"
        }
        Wrong::Metadata(error) => of_register(error),
        Wrong::Field(_) => "correct the metadata, see airlift tao check, and import the models again",
        Wrong::Entry { problem, .. } => of_problem(problem),
        Wrong::Flaw(_) => "correct that, or fetch the models again",
        Wrong::Tree(error) => of_tree(error),
        Wrong::ApiSilent(_) => "see that --api is the platform's address and that it runs",
        Wrong::Api(ApiError::ListBroken { .. }) => {
            "find the entry in the platform's log and load it with good values; 6.25 can't list without a network: \
             use 7.0.1 or later"
        }
        Wrong::Api(error) => of_api(error),
        Wrong::OldVersion { .. } => {
            "use 7.0.1 or later: 6.25.11 and 6.26.3 of the package load models and never list them"
        }
        Wrong::ListBroken { is_ours: true, .. } => {
            "correct that entry of the metadata, import them and repeat airlift tao register: a load heals it"
        }
        Wrong::ListBroken { .. } => "load that entry once more with good values: a load heals it",
        Wrong::NoneListed { .. } => {
            "airlift tao register has it load them; if it has, it is of 6.25 or 6.26: use 7.0.1 or later"
        }
        Wrong::LittleSpace { .. } => "free some space there, or name another place",
        error => of_class(error.class()),
    }
}

fn of_problem(problem: &Problem) -> &'static str {
    match problem {
        Problem::NoFiles { .. } => "import the models again with all volumes of their bundle",
        _ => "airlift tao register has the platform load the metadata again",
    }
}

fn of_named_store(error: &StoreError) -> &'static str {
    match error {
        StoreError::BadOption { option, .. } if *option != "credentials" => {
            "airlift tao doctor --help shows how the store is named"
        }
        error => of_store(error),
    }
}

pub(crate) const fn of_note(note: &Note) -> &'static str {
    match note {
        Note::Clock(_) => "set both clocks by one source of time before they part further",
        Note::NoKey { .. } => "set one, or name a file to airlift fetch, if something there needs it",
        Note::Remark(Remark::NoTeam { .. }) => "correct the path and fetch the model again",
        _ => "nothing has to be done if it is meant",
    }
}

pub(crate) fn of_export(error: &ExportError) -> &'static str {
    match error {
        ExportError::InTheWay { .. } => "nothing is written over: move it away, or export to an empty directory",
        ExportError::Twins { .. } => "export as a tar stream with --to -, or import it",
        error => of_class(error.class()),
    }
}

pub(crate) fn of_write(error: &WriteError) -> &'static str {
    match error {
        WriteError::NoMedium { .. } => "name a directory where a medium is mounted",
        WriteError::Twice { .. } => "name each medium once",
        WriteError::IsSource { .. } => "name media other than the one that the bundle lies on",
        WriteError::OtherBundle { .. } => "nothing is written over: move it away, or use another medium",
        WriteError::InTheWay { .. } => "remove what is there, or use another medium",
        WriteError::InUse { .. } => "wait until that is done",
        WriteError::NoNumberLeft { .. } => "remove signatures that nobody needs",
        WriteError::OtherRecord { .. } => "add --again to forget it, or name another --record",
        WriteError::NoRecord { .. } => "name another --record, or add --again to begin a new one in its place",
        WriteError::ReadBack { .. } => "do not use this medium: it does not keep what is written to it",
        WriteError::NotDue { .. } | WriteError::OtherLen { .. } | WriteError::Damaged { .. } => {
            "get another copy of what is named, or pack again; what was written before is whole"
        }
        error => of_class(error.class()),
    }
}

pub(crate) fn of_import(error: &ImportError) -> &'static str {
    match error {
        ImportError::Mapping(MappingError::Unmapped { .. }) => {
            "add --map ROOT=PREFIX/, or --map ROOT=- to leave it out"
        }
        ImportError::Mapping(MappingError::NoSuchRoot { .. }) => {
            "airlift ls BUNDLE --allowed-signers FILE shows the roots"
        }
        ImportError::NothingLast { .. } => {
            "airlift ls BUNDLE --allowed-signers FILE shows the files; a glob matches the path below the root"
        }
        ImportError::Mapping(_) => "choose other prefixes with --map",
        ImportError::Trust(error) => of_trust(error),
        ImportError::Release(ReleaseError::NotEnrolled { .. }) => "if it is to be taken up here, add --enrol",
        ImportError::Foreign { .. } => "choose other prefixes, or --on-existing skip or replace",
        ImportError::Leased { .. } | ImportError::StateInUse { .. } => "wait until that is done",
        ImportError::ReadBack { .. } => "find out why the store gives other bytes, then add --on-existing replace",
        error => of_class(error.class()),
    }
}

pub(crate) fn of_store(error: &StoreError) -> &'static str {
    match error {
        StoreError::BucketMissing { .. } => "name another one, or add --create-bucket",
        StoreError::PlainHttp { .. } => "use https, or add --plain-http",
        StoreError::CertificateRefused { .. } => "name the right authority with --ca-file",
        StoreError::BadOption { option: "credentials", .. } => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a file with --credentials-file"
        }
        StoreError::BadOption { .. } => "airlift import --help shows how the store is named",
        error => of_class(error.class()),
    }
}

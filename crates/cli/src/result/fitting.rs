//! Which of the keys at hand an archive is encrypted to, by the ids that its receipt states (spec `docs/spec/archive.md`, A5).

use iexec_archive::Identity;
use iexec_protocol::{id::Sha256, receipt::Receipt};

use super::source::Origin;
use crate::failure::Failure;

/// The keys that the receipt names, and those whose id nobody knows; all of them where it names none. If none is left, the
/// error says which the archive wants and which were at hand.
pub(super) fn fitting(
    keys: Vec<Identity>,
    receipt: Option<&Receipt>,
    origin: &Origin,
) -> Result<Vec<Identity>, Failure> {
    let wanted = receipt.map_or(&[][..], |receipt| &receipt.statement().recipients);
    if wanted.is_empty() || keys.is_empty() {
        return Ok(keys);
    }
    let ids: Vec<Option<Sha256>> = keys.iter().map(id_of).collect();
    let fits = |id: &Option<Sha256>| id.is_none_or(|id| wanted.contains(&id));
    let left: Vec<Identity> = keys.into_iter().zip(&ids).filter(|(_, id)| fits(id)).map(|(key, _)| key).collect();
    if !left.is_empty() {
        return Ok(left);
    }
    let listed = |ids: Vec<String>| ids.join(", ");
    let message = format!(
        "{}: it is encrypted to the key of id {}; at hand {}",
        origin.name(),
        listed(wanted.iter().map(ToString::to_string).collect()),
        match ids.as_slice() {
            [Some(id)] => format!("is the key of id {id}"),
            _ => format!("are the keys of ids {}", listed(ids.iter().flatten().map(ToString::to_string).collect())),
        }
    );
    Err(Failure::user("DecryptionError", message)
        .hint("name the beneficiary's key with --beneficiary-key-file, or its folder with --beneficiary-keystoredir"))
}

/// `None` for a plugin's key whose recipient is not known here.
fn id_of(key: &Identity) -> Option<Sha256> {
    key.recipient().ok().map(|recipient| Sha256(recipient.key_id().into()))
}

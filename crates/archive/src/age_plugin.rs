//! Identities that a program holds, `age-plugin-<name>`: hardware keys, mostly. The program is found in the `PATH`, is asked
//! by age's plugin protocol (C2SP age-plugin), and may speak to its user through a [`PluginDialogue`].

use crate::age_identity::only_line;
use crate::{AgeRecipient, KeyError};
use age::plugin::{Identity, IdentityPluginV1};
use age::secrecy::SecretString;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What a plugin asks its user. `None` means that nobody can be asked.
pub trait PluginDialogue: Send + Sync {
    /// Says something, as "touch the key".
    fn say(&self, message: &str);
    /// Asks for one of two answers, the first of which is true; the second's words may be missing.
    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool>;
    /// Asks for a text.
    fn ask(&self, message: &str) -> Option<String>;
    /// Asks for a secret, as a PIN.
    fn ask_secret(&self, message: &str) -> Option<Zeroizing<String>>;
}

/// A private key that a plugin holds, by the text of its identity file.
#[derive(Clone)]
pub struct PluginIdentity {
    identity: Identity,
    text: Zeroizing<String>,
    asked: Dialogue,
}

impl PluginIdentity {
    /// Reads the one `AGE-PLUGIN-…` line of an identity file of at most 16 KiB. The plugin must be there.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        let identity: Identity = only_line(text)?.parse().map_err(KeyError::Age)?;
        let found = Self { identity, text: Zeroizing::new(text.to_owned()), asked: Dialogue(None) };
        found.plugin().map(drop)?;
        Ok(found)
    }

    /// With somebody whom the plugin may ask.
    #[must_use]
    pub fn with_dialogue(self, dialogue: Arc<dyn PluginDialogue>) -> Self {
        Self { asked: Dialogue(Some(dialogue)), ..self }
    }

    /// The identity file.
    pub fn to_text(&self) -> Zeroizing<String> {
        self.text.clone()
    }

    /// The public half, where a comment of the identity file names one that an archive can be encrypted to.
    pub fn recipient(&self) -> Result<AgeRecipient, KeyError> {
        let comments = self.text.lines().filter(|line| line.trim_start().starts_with('#'));
        let mut words = comments.flat_map(str::split_whitespace).filter(|word| word.starts_with("age1tag"));
        words.find_map(|word| word.parse().ok()).ok_or(KeyError::Age(
            "this plugin's identity file names no tag recipient in a comment, as `# public key: age1tag1…`",
        ))
    }

    /// Name of the plugin: `yubikey` of `age-plugin-yubikey`.
    pub fn plugin_name(&self) -> &str {
        self.identity.plugin()
    }

    fn plugin(&self) -> Result<IdentityPluginV1<Dialogue>, KeyError> {
        let name = self.identity.plugin();
        IdentityPluginV1::new(name, std::slice::from_ref(&self.identity), self.asked.clone())
            .map_err(|_| KeyError::Plugin(name.chars().take(80).collect()))
    }
}

impl age::Identity for PluginIdentity {
    fn unwrap_stanza(
        &self,
        stanza: &age_core::format::Stanza,
    ) -> Option<Result<age_core::format::FileKey, age::DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(
        &self,
        stanzas: &[age_core::format::Stanza],
    ) -> Option<Result<age_core::format::FileKey, age::DecryptError>> {
        let unwrapped = self.plugin().ok()?.unwrap_stanzas(stanzas);
        // That it did not work is one error (A7); what the plugin says of its key, its user must know.
        if let Some(Err(age::DecryptError::Plugin(said))) = &unwrapped {
            for error in said {
                age::Callbacks::display_message(&self.asked, &error.to_string());
            }
            return None;
        }
        unwrapped
    }
}

impl fmt::Debug for PluginIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PluginIdentity({}, ..)", self.plugin_name())
    }
}

#[derive(Clone)]
struct Dialogue(Option<Arc<dyn PluginDialogue>>);

impl age::Callbacks for Dialogue {
    fn display_message(&self, message: &str) {
        if let Some(asked) = &self.0 {
            asked.say(message);
        }
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        self.0.as_ref()?.confirm(message, yes, no)
    }

    fn request_public_string(&self, message: &str) -> Option<String> {
        self.0.as_ref()?.ask(message)
    }

    fn request_passphrase(&self, message: &str) -> Option<SecretString> {
        let secret = self.0.as_ref()?.ask_secret(message)?;
        Some(SecretString::from(secret.as_str().to_owned()))
    }
}

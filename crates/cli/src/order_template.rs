//! Orders as `iexec.json` has them: tag as names, params as an object, no salt; `order sign` reads them.

use iexec_protocol::{B256, order::Order};
use serde_json::{Value, json};

use crate::{failure::Failure, files, offer};

/// An order as iexec.json has it: tag as names, params as an object, no salt.
pub(crate) fn template(order: &impl Order) -> Result<Value, Failure> {
    let broken = |error: serde_json::Error| Failure::ours("InternalError", error.to_string());
    let mut value = serde_json::to_value(order).map_err(broken)?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("salt");
        fields.insert("tag".into(), json!(order.tag().names()));
        if fields.contains_key("params") {
            fields.insert("params".into(), json!({ "iexec_args": "" }));
        }
    }
    Ok(value)
}

/// The order of a template, with a fresh salt.
pub(crate) fn read<T: Order>(template: Option<Value>) -> Result<Option<T>, Failure> {
    let Some(mut value) = template else { return Ok(None) };
    let place = format!("iexec.json: order.{}order", T::KIND);
    let Some(fields) = value.as_object_mut() else {
        return Err(Failure::invalid(format!("{place} must be an object"))
            .hint(format!("write a new one with `iexec order init --{}`", T::KIND)));
    };
    fields.insert("salt".into(), json!(B256::from(offer::salt())));
    if let Some(params) = fields.get("params").filter(|params| params.is_object()) {
        let text = params.to_string();
        fields.insert("params".into(), json!(text));
    }
    serde_path_to_error::deserialize(value).map(Some).map_err(|error| {
        let (path, cause) = (error.path().to_string(), files::plain(&error.inner().to_string()));
        let at = if path == "." { place } else { format!("{place}.{path}") };
        Failure::invalid(format!("{at}: {cause}"))
            .hint(format!("correct it there, or write a new one with `iexec order init --{}`", T::KIND))
    })
}

#[cfg(test)]
mod tests {
    use iexec_protocol::{
        U256,
        order::{AppOrder, RequestOrder},
    };

    use super::*;

    #[test]
    fn a_template_is_read_back_with_a_fresh_salt_and_params_as_text() {
        let value = template(&RequestOrder {
            volume: U256::ONE,
            tag: iexec_protocol::tag::Tag::TEE,
            ..RequestOrder::default()
        })
        .unwrap();
        assert_eq!(value["tag"], json!(["tee"]));
        let order: RequestOrder = read(Some(value)).unwrap().unwrap();
        assert_eq!(order.params, r#"{"iexec_args":""}"#);
        assert_ne!(order.salt, B256::ZERO);
    }

    #[test]
    fn a_malformed_order_is_named_with_its_place() {
        let mut value = template(&AppOrder::default()).unwrap();
        value["appprice"] = json!("-1");
        let failure = read::<AppOrder>(Some(value)).unwrap_err();
        assert_eq!(failure.message, "iexec.json: order.apporder.appprice: not an unsigned integer: \"-1\"");
    }
}

//! Evidence to verified claims to policy (RATS, RFC 9334)

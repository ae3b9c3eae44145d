//! The Secret Management Service: keeps secrets, gives a session to an attested, authorized enclave

//! Known keystores, hostile keystores, and the round trip.

use super::*;

// The test vector of the Web3 Secret Storage Definition (password "testpassword").
const PBKDF2: &str = r#"{"crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"6087dab2f9fdbbfaddc31a909735c1e6"},"ciphertext":"5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46","kdf":"pbkdf2","kdfparams":{"c":262144,"dklen":32,"prf":"hmac-sha256","salt":"ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd"},"mac":"517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2"},"id":"3198bc9c-6672-5ab3-d995-4942343ae5b6","version":3}"#;
// A keystore of geth's own tests (password "foobar"), scrypt at its lightest.
const SCRYPT: &str = r#"{"address":"7ef5a6135f1fd6a02593eedc869c6d41d934aef8","crypto":{"cipher":"aes-128-ctr","ciphertext":"1d0839166e7a15b9c1333fc865d69858b22df26815ccf601b28219b6192974e1","cipherparams":{"iv":"8df6caa7ff1b00c4e871f002cb7921ed"},"kdf":"scrypt","kdfparams":{"dklen":32,"n":8,"p":16,"r":8,"salt":"e5e6ef3f4ea695f496b643ebd3f75c0aa58ef4070e90c80c5d3fb0241bf1595c"},"mac":"6d16dfde774845e4585357f24bce530528bc69f4f84e1e22880d34fa45c273e5"},"id":"950077c7-71e3-4c44-a4a1-143919141ed4","version":3}"#;
// Made by ethers 6.17.0 (`encryptSync("pässwörd 1")`), whose code the JavaScript SDK writes keystores with.
const ETHERS: &str = r#"{"address":"70997970c51812dc3a010c7d01b50e0d17dc79c8","id":"da782654-492c-40b3-a052-e87f8c37f469","version":3,"Crypto":{"cipher":"aes-128-ctr","cipherparams":{"iv":"fee200a00e927d3098e793ba909f7fb4"},"ciphertext":"478bffbc6a85fff08e448e69f1c41803c367dec2005413bd3f777d02c5f26b36","kdf":"scrypt","kdfparams":{"salt":"9553e46b2d77af99c954997f739771ec45d1e6262d6b5d600b891ffdc6553c99","n":131072,"dklen":32,"p":1,"r":8},"mac":"22a4c8076dd4bcef8f12bb57ceb25e4037cfaaac95c4e66ff2e994d2ed9043fe"}}"#;
const KEY: &str = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";

#[test]
fn keystores_of_geth_open_with_their_password() {
    let wallet = open(PBKDF2, "testpassword").unwrap();
    assert_eq!(const_hex::encode(wallet.expose_secret().as_ref()), KEY);
    let wallet = open(SCRYPT, "foobar").unwrap();
    assert_eq!(wallet.address().to_string(), "0x7EF5A6135f1FD6a02593eEdC869c6D41D934aef8");
}

#[test]
fn keystores_of_ethers_open_with_their_password() {
    let wallet = open(ETHERS, "pässwörd 1").unwrap();
    assert_eq!(wallet.address(), address(ETHERS).unwrap().unwrap());
    assert!(matches!(open(ETHERS, "password 1"), Err(KeystoreError::WrongPassword)));
}

#[test]
fn a_sealed_wallet_opens_again_and_only_with_its_password() {
    let wallet = Wallet::random().unwrap();
    let text = seal(&wallet, "correct horse").unwrap();
    assert!(!text.contains(&const_hex::encode(wallet.expose_secret().as_ref())));
    assert_eq!(address(&text).unwrap(), Some(wallet.address()));
    assert_eq!(open(&text, "correct horse").unwrap().address(), wallet.address());
    assert!(matches!(open(&text, "battery staple"), Err(KeystoreError::WrongPassword)));
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["version"], 3);
    assert_eq!(json["Crypto"]["kdf"], "scrypt");
    assert_eq!(json["Crypto"]["kdfparams"]["n"], 131_072);
    assert_eq!(json["Crypto"]["cipher"], "aes-128-ctr");
}

#[test]
fn hostile_keystores_are_refused_by_name_and_at_once() {
    let cases = [
        (String::new(), "not a keystore"),
        ("[]".into(), "not a keystore"),
        ("x".repeat(MAX_BYTES + 1), "at most"),
        (PBKDF2.replace("\"version\":3", "\"version\":1"), "version \"1\""),
        (PBKDF2.replace("aes-128-ctr", "aes-128-cbc"), "cipher \"aes-128-cbc\""),
        (PBKDF2.replace("262144", "4294967295"), "rounds c=4294967295"),
        (PBKDF2.replace("262144", "0"), "rounds c=0"),
        (PBKDF2.replace("hmac-sha256", "hmac-md5"), "prf"),
        (PBKDF2.replace("\"dklen\":32", "\"dklen\":0"), "dklen"),
        (PBKDF2.replace("\"mac\":\"51", "\"mac\":\"zz"), "crypto.mac"),
        (PBKDF2.replace("\"iv\":\"60", "\"iv\":\""), "crypto.cipherparams.iv"),
        (SCRYPT.replace("\"n\":8", "\"n\":1099511627776"), "scrypt cost"),
        (SCRYPT.replace("\"n\":8", "\"n\":9"), "scrypt cost"),
        (SCRYPT.replace("\"p\":16", "\"p\":4294967295"), "scrypt cost"),
        (SCRYPT.replace("\"r\":8", "\"r\":0"), "scrypt cost"),
        (PBKDF2.replace("\"version\"", "\"address\":\"12\",\"version\""), "address"),
    ];
    for (text, part) in cases {
        let message = open(&text, "testpassword").map_or_else(|error| error.to_string(), |_| "opened".into());
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn a_keystore_that_names_another_account_is_refused() {
    let text = PBKDF2.replace("\"version\"", "\"address\":\"0000000000000000000000000000000000000001\",\"version\"");
    assert!(matches!(open(&text, "testpassword"), Err(KeystoreError::WrongAddress { .. })));
}

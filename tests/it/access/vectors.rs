//! Signatures that other programs have taken for good ones, collected by Project Wycheproof, and what checks ours: RS256 with keys
//! as they stand in a key set, HS256. The project's vectors of whole tokens are not in the crate; their forms are rows of the
//! matrix, made with keys of our own.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use wycheproof::TestResult;
use wycheproof::mac::TestName as Mac;
use wycheproof::rsa_pkcs1_verify::TestName as Rsa;

fn holds(signature: &[u8], message: &[u8], key: &DecodingKey, algorithm: Algorithm) -> bool {
    crypto::verify(&BASE64_URL_SAFE_NO_PAD.encode(signature), message, key, algorithm).unwrap_or(false)
}

#[test]
fn no_forged_rsa_signature_is_taken_for_a_good_one() {
    let (mut good, mut forged) = (0, 0);
    for name in [Rsa::Rsa2048Sha256, Rsa::Rsa3072Sha256, Rsa::Rsa4096Sha256] {
        for group in wycheproof::rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            // They are written as signed numbers, a key set has unsigned ones.
            let unsigned = |number: &[u8]| number[number.iter().position(|byte| *byte != 0).unwrap()..].to_vec();
            let key = DecodingKey::from_rsa_raw_components(&unsigned(&group.key.n), &unsigned(&group.key.e));
            for test in group.tests {
                let holds = holds(&test.sig, &test.msg, &key, Algorithm::RS256);
                match test.result {
                    TestResult::Valid => good += 1,
                    TestResult::Invalid => forged += 1,
                    // What the standard lets programs refuse: a padding that is not quite as it should be.
                    TestResult::Acceptable => continue,
                }
                assert_eq!(holds, test.result == TestResult::Valid, "{name:?} {}: {}", test.tc_id, test.comment);
            }
        }
    }
    assert!(good > 20 && forged > 600, "{good} good ones, {forged} forged ones");
}

#[test]
fn no_forged_hash_of_a_shared_key_is_taken_for_a_good_one() {
    let (mut good, mut forged) = (0, 0);
    for group in wycheproof::mac::TestSet::load(Mac::HmacSha256).unwrap().test_groups {
        for test in group.tests {
            let key = DecodingKey::from_secret(&test.key);
            let is_whole = group.tag_size == 256;
            let expected = is_whole && test.result == TestResult::Valid;
            if expected {
                good += 1
            } else {
                forged += 1
            }
            // A hash that was cut is valid elsewhere, and not in a token.
            assert_eq!(
                holds(&test.tag, &test.msg, &key, Algorithm::HS256),
                expected,
                "{}: {}",
                test.tc_id,
                test.comment
            );
        }
    }
    assert!(good > 20 && forged > 60, "{good} good ones, {forged} forged ones");
}

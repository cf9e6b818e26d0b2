// Package receipt writes and checks receipts: signed records of what a
// verification found, of which files. A receipt is an in-toto statement (v1) with the
// predicate that PREDICATE.md describes, in a DSSE envelope, signed with ed25519
// keys. Its subjects are all files of the verified model, so that a change of a single
// byte of weights, tokenizer or configuration is found.
//
// The package knows no models. It reads only what it writes: an unknown member, a
// name that occurs twice or bytes after the end are errors, because a reader might take
// what is outside the signature for a part of it.
//
// Sources: DSSE 1.0 (github.com/secure-systems-lab/dsse, protocol.md and
// envelope.md), the in-toto attestation framework's Statement v1
// (github.com/in-toto/attestation, spec/v1/statement.md), RFC 8032 (ed25519), RFC 5958
// and RFC 5280 (the PKCS #8 and SubjectPublicKeyInfo that its PEM files hold, with the
// algorithm of RFC 8410).
package receipt

package receipt

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
)

// PublicKey is the key that a receipt is checked with.
type PublicKey struct{ key ed25519.PublicKey }

// PrivateKey is the key that receipts are signed with.
type PrivateKey struct{ key ed25519.PrivateKey }

// Public returns the public half.
func (k PrivateKey) Public() PublicKey { return PublicKey{k.key.Public().(ed25519.PublicKey)} }

// ID returns the key's name in receipts: the SHA-256, in hexadecimal, of its
// SubjectPublicKeyInfo, as `openssl pkey -pubin -outform DER | sha256sum` prints it.
func (k PublicKey) ID() string {
	der, err := x509.MarshalPKIXPublicKey(k.key)
	if err != nil {
		panic(err) // of an ed25519 key
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}

// PublicEnding is what the name of a public key's file adds to that of the private
// one.
const PublicEnding = ".pub"

const maxKey = 64 << 10 // bytes of a key's file

// WriteKeys makes a key and writes its private half to a file that only its owner
// can read, in PKCS #8, and its public half beside it under the name with
// PublicEnding. It replaces no file.
func WriteKeys(path string) (PublicKey, error) { return writeKeys(path, rand.Reader) }

func writeKeys(path string, random io.Reader) (PublicKey, error) {
	public, private, err := ed25519.GenerateKey(random)
	if err != nil {
		return PublicKey{}, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return PublicKey{}, err
	}
	open, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return PublicKey{}, err
	}
	if _, err := os.Lstat(path + PublicEnding); err == nil {
		return PublicKey{}, &KeyError{path + PublicEnding, "it already exists", OtherKeyFile}
	}
	if err := writeNew(path, 0o600, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})); err != nil {
		return PublicKey{}, err
	}
	if err := writeNew(path+PublicEnding, 0o644, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: open})); err != nil {
		os.Remove(path)
		return PublicKey{}, err
	}
	return PublicKey{public}, nil
}

// writeNew writes a file that does not exist, completely or not at all.
func writeNew(path string, mode fs.FileMode, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return &KeyError{path, "it already exists", OtherKeyFile}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}

// otherKeys are PEM blocks that hold keys of another kind or form.
var otherKeys = map[string]string{
	"ENCRYPTED PRIVATE KEY": "it is an encrypted key, which attnx does not read",
	"RSA PRIVATE KEY":       "it is an RSA key, and receipts have ed25519 keys",
	"RSA PUBLIC KEY":        "it is an RSA key, and receipts have ed25519 keys",
	"EC PRIVATE KEY":        "it is an ECDSA key, and receipts have ed25519 keys",
	"DSA PRIVATE KEY":       "it is a DSA key, and receipts have ed25519 keys",
	"OPENSSH PRIVATE KEY":   "it is a key in OpenSSH's form, and receipts have keys in PKCS #8",
	"CERTIFICATE":           "it is a certificate, and not a key",
}

// readKey reads the one PEM block of a file.
func readKey(path, want string) ([]byte, error) {
	text, err := readSmall(path, maxKey)
	var tooLarge *sizeError
	if errors.As(err, &tooLarge) {
		return nil, &KeyError{path, "it is no key: " + tooLarge.Error(), MakeKey}
	}
	if err != nil {
		return nil, err
	}
	text = bytes.TrimSpace(text)
	block, rest := pem.Decode(text)
	for b, more := block, rest; b != nil; b, more = pem.Decode(more) { // openssl writes a curve's parameters first
		if other := otherKeys[b.Type]; other != "" {
			return nil, &KeyError{path, other, MakeKey}
		}
	}
	if bytes.HasPrefix(text, []byte("ssh-")) || bytes.HasPrefix(text, []byte("ecdsa-")) {
		return nil, &KeyError{path, otherKeys["OPENSSH PRIVATE KEY"], MakeKey}
	}
	if block == nil || !bytes.HasPrefix(text, []byte("-----BEGIN ")) || len(rest) > 0 {
		return nil, &KeyError{path, "it is no key: it does not hold exactly one block in PEM", MakeKey}
	}
	switch {
	case len(block.Headers) > 0:
		return nil, &KeyError{path, "its PEM block has headers, as encrypted keys have, which attnx does not read", MakeKey}
	case block.Type == want:
		return block.Bytes, nil
	case block.Type == "PRIVATE KEY":
		return nil, &KeyError{path, "it is a private key", NamePublic}
	case block.Type == "PUBLIC KEY":
		return nil, &KeyError{path, "it is a public key, which signs nothing", NamePrivate}
	}
	return nil, &KeyError{path, fmt.Sprintf("it is no key: its PEM block is a %.40q", block.Type), MakeKey}
}

// ReadPrivate reads the private key in a file that only its owner can read.
func ReadPrivate(path string) (PrivateKey, error) {
	der, err := readKey(path, "PRIVATE KEY")
	if err != nil {
		return PrivateKey{}, err
	}
	any, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		var outer struct {
			Version   int
			Algorithm pkix.AlgorithmIdentifier
			Key       []byte
			Rest      []asn1.RawValue `asn1:"optional,omitempty"`
		}
		return PrivateKey{}, unreadable(path, "private", der, &outer, &outer.Algorithm)
	}
	key, ok := any.(ed25519.PrivateKey)
	if !ok {
		return PrivateKey{}, &KeyError{path, "it is " + kindOf(any) + ", and receipts have ed25519 keys", MakeKey}
	}
	if info, err := os.Stat(path); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return PrivateKey{}, &KeyError{path, fmt.Sprintf("others may read this private key (its permissions are %#o)", info.Mode().Perm()), ProtectKey}
	}
	return PrivateKey{key}, nil
}

// ReadPublic reads the public key in a file.
func ReadPublic(path string) (PublicKey, error) {
	der, err := readKey(path, "PUBLIC KEY")
	if err != nil {
		return PublicKey{}, err
	}
	any, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		var outer struct {
			Algorithm pkix.AlgorithmIdentifier
			Key       asn1.BitString
		}
		return PublicKey{}, unreadable(path, "public", der, &outer, &outer.Algorithm)
	}
	key, ok := any.(ed25519.PublicKey)
	if !ok {
		return PublicKey{}, &KeyError{path, "it is " + kindOf(any) + ", and receipts have ed25519 keys", MakeKey}
	}
	return PublicKey{key}, nil
}

// unreadable returns the error for a key that package x509 does not read: one of an algorithm
// that it does not know, if the key has the outer form, or a broken one.
func unreadable(path, half string, der []byte, outer any, a *pkix.AlgorithmIdentifier) error {
	rest, err := asn1.Unmarshal(der, outer)
	switch id := a.Algorithm.String(); {
	case err != nil || len(rest) > 0 || id == ed25519ID:
		return &KeyError{path, "its " + half + " key is broken", MakeKey}
	case otherIDs[id] != "":
		return &KeyError{path, "it is " + otherIDs[id] + ", and receipts have ed25519 keys", MakeKey}
	default:
		return &KeyError{path, fmt.Sprintf("it is a key of another kind (%.60s), and receipts have ed25519 keys", id), MakeKey}
	}
}

// The object identifiers of RFC 8410, and of RFC 8017 and 5480.
const ed25519ID = "1.3.101.112"

var otherIDs = map[string]string{
	"1.3.101.110": "an X25519 key", "1.3.101.111": "an X448 key", "1.3.101.113": "an Ed448 key",
	"1.2.840.113549.1.1.1": "an RSA key", "1.2.840.10045.2.1": "an ECDSA key",
}

// kindOf describes a key of package crypto by its type: "an RSA key".
func kindOf(key any) string {
	name := fmt.Sprintf("%T", key)
	switch {
	case strings.Contains(name, "rsa"):
		return "an RSA key"
	case strings.Contains(name, "ecdsa"):
		return "an ECDSA key"
	}
	if strings.Contains(name, "ecdh") {
		return "an X25519 key"
	}
	return "a key of another kind"
}

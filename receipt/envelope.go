package receipt

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Receipt is a statement in its envelope.
type Receipt struct {
	Statement  Statement
	Signatures []Signature

	payload []byte
}

// Signature is a signature of a receipt. The name of its key is a hint that nothing
// protects: whoever trusts a key compares with the key.
type Signature struct {
	KeyID string
	Bytes []byte
}

// envelope is the JSON of DSSE. It has no other members.
type envelope struct {
	PayloadType string              `json:"payloadType"`
	Payload     string              `json:"payload"` // base64
	Signatures  []envelopeSignature `json:"signatures"`
}

type envelopeSignature struct {
	KeyID string `json:"keyid"`
	Sig   string `json:"sig"` // base64
}

// maxSignatures bounds the signatures of a receipt.
const maxSignatures = 64

// Of returns a receipt of a statement, which nobody has signed.
func Of(s Statement) (*Receipt, error) {
	payload, err := s.payload()
	if err != nil {
		return nil, err
	}
	if len(payload) > maxReceipt/2 {
		return nil, fmt.Errorf("receipt: the statement has %d bytes, more than %d: verify fewer files at a time", len(payload), maxReceipt/2)
	}
	return &Receipt{Statement: s, payload: payload}, nil
}

// Read reads the receipt in a file of at most 16 MiB. It compares no signature.
func Read(path string) (*Receipt, error) {
	text, err := readSmall(path, maxReceipt)
	if err != nil {
		var tooLarge *sizeError
		if errors.As(err, &tooLarge) {
			return nil, &FormatError{path, tooLarge.Error()}
		}
		return nil, err
	}
	r, err := decode(text)
	if err != nil {
		return nil, &FormatError{path, err.Error()}
	}
	return r, nil
}

// decode reads the bytes of a receipt.
func decode(text []byte) (*Receipt, error) {
	var e envelope
	if err := strict(text, &e); err != nil {
		return nil, err
	}
	if e.PayloadType != PayloadType {
		return nil, fmt.Errorf("its payload has the type %.80q, expected %s", e.PayloadType, PayloadType)
	}
	if len(e.Signatures) > maxSignatures {
		return nil, fmt.Errorf("it has %d signatures, more than %d", len(e.Signatures), maxSignatures)
	}
	r := &Receipt{}
	var err error
	if r.payload, err = fromBase64(e.Payload); err != nil {
		return nil, errors.New("its payload is not base64")
	}
	if r.Statement, err = parse(r.payload); err != nil {
		return nil, err
	}
	for i, s := range e.Signatures {
		sig, err := fromBase64(s.Sig)
		if err != nil || len(sig) != ed25519.SignatureSize {
			return nil, fmt.Errorf("signature %d is not one of ed25519, which has %d bytes in base64", i, ed25519.SignatureSize)
		}
		if slices.ContainsFunc(r.Signatures, func(s Signature) bool { return slices.Equal(s.Bytes, sig) }) {
			return nil, fmt.Errorf("signature %d occurs twice", i)
		}
		r.Signatures = append(r.Signatures, Signature{s.KeyID, sig})
	}
	return r, nil
}

// fromBase64 decodes standard base64 or that for URLs, as DSSE asks of readers, in
// the one spelling that gives these bytes.
func fromBase64(text string) ([]byte, error) {
	for _, c := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		if b, err := c.Strict().DecodeString(text); err == nil && c.EncodeToString(b) == text {
			return b, nil
		}
	}
	return nil, errors.New("not base64")
}

// Encode writes the receipt as one line of JSON.
func (r *Receipt) Encode(w io.Writer) error {
	e := envelope{PayloadType: PayloadType, Payload: base64.StdEncoding.EncodeToString(r.payload), Signatures: []envelopeSignature{}}
	for _, s := range r.Signatures {
		e.Signatures = append(e.Signatures, envelopeSignature{s.KeyID, base64.StdEncoding.EncodeToString(s.Bytes)})
	}
	text, err := json.Marshal(e, json.Deterministic(true), jsontext.EscapeForHTML(false))
	if err != nil {
		return err
	}
	_, err = w.Write(append(text, '\n'))
	return err
}

// pae is DSSE's pre-authentication encoding: what a signature signs.
func pae(payloadType string, payload []byte) []byte {
	b := []byte("DSSEv1 ")
	for i, part := range [][]byte{[]byte(payloadType), payload} {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(strconv.AppendInt(b, int64(len(part)), 10), ' ')
		b = append(b, part...)
	}
	return b
}

// Sign adds the signature of a key, or nothing if the receipt has it.
func (r *Receipt) Sign(k PrivateKey) {
	if r.SignedBy(k.Public()) {
		return
	}
	r.Signatures = append(r.Signatures, Signature{k.Public().ID(), ed25519.Sign(k.key, pae(PayloadType, r.payload))})
}

// SignedBy reports whether one of the signatures is that of a key.
func (r *Receipt) SignedBy(k PublicKey) bool {
	signed := pae(PayloadType, r.payload)
	return slices.ContainsFunc(r.Signatures, func(s Signature) bool { return ed25519.Verify(k.key, signed, s.Bytes) })
}

// sizeError reports a file that is too large to be what it should be.
type sizeError struct{ size, most int64 }

func (e *sizeError) Error() string {
	return fmt.Sprintf("it has %d bytes, more than %d", e.size, e.most)
}

// readSmall reads a regular file of at most the given size.
func readSmall(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path) // before opening: opening a pipe would block
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &SubjectError{path, "it is not a regular file: name one"}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = &sizeError{max(info.Size(), most+1), most}
	}
	return b, err
}

package receipt

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func must[T any](x T, err error) T {
	if err != nil {
		panic(err)
	}
	return x
}

var hash = strings.Repeat("0a", 32)

func example(t *testing.T) *Receipt {
	s, err := New([]Descriptor{{"a/model.onnx", Digest{hash}}, {"tokenizer.json", Digest{hash}}}, Predicate{Verdict: Passed})
	if err != nil {
		t.Fatal(err)
	}
	return must(Of(s))
}

func encoded(r *Receipt) string {
	var b bytes.Buffer
	if err := r.Encode(&b); err != nil {
		panic(err)
	}
	return b.String()
}

func keys(t *testing.T, name string) (PrivateKey, PublicKey) {
	path := filepath.Join(t.TempDir(), name)
	must(WriteKeys(path))
	return must(ReadPrivate(path)), must(ReadPublic(path + PublicEnding))
}

// TestPAE: the example of DSSE's protocol.md.
func TestPAE(t *testing.T) {
	if got := string(pae("http://example.com/HelloWorld", []byte("hello world"))); got != "DSSEv1 29 http://example.com/HelloWorld 11 hello world" {
		t.Error(got)
	}
	if got := string(pae("", nil)); got != "DSSEv1 0  0 " {
		t.Errorf("%q", got)
	}
}

// A receipt is read as it was written, equal statements give equal bytes, and each
// key finds its own signature and no other.
func TestSign(t *testing.T) {
	one, onePublic := keys(t, "one")
	two, twoPublic := keys(t, "two")
	_, third := keys(t, "three")
	r := example(t)
	r.Sign(one)
	if r.Sign(one); len(r.Signatures) != 1 {
		t.Errorf("%d signatures of one key", len(r.Signatures))
	}
	again := example(t)
	again.Sign(one)
	if encoded(r) != encoded(again) {
		t.Error("equal receipts have other bytes")
	}
	r.Sign(two)
	back, err := decode([]byte(encoded(r)))
	if err != nil || encoded(back) != encoded(r) {
		t.Fatal(err)
	}
	if !back.SignedBy(onePublic) || !back.SignedBy(twoPublic) || back.SignedBy(third) {
		t.Error("signatures are confused")
	}
	back.Signatures[0].Bytes[5] ^= 1
	if back.SignedBy(onePublic) {
		t.Error("a forged signature is accepted")
	}
}

// TestRefused: a file that is not a receipt is refused with its reason.
func TestRefused(t *testing.T) {
	key, _ := keys(t, "key")
	r := example(t)
	r.Sign(key)
	whole := encoded(r)
	payload := func(old, new string) string {
		p := strings.Replace(string(r.payload), old, new, 1)
		if p == string(r.payload) {
			t.Fatalf("%s does not occur", old)
		}
		return `{"payloadType":"` + PayloadType + `","payload":"` + base64.StdEncoding.EncodeToString([]byte(p)) + `","signatures":[]}`
	}
	envelope := func(old, new string) string {
		e := strings.Replace(whole, old, new, 1)
		if e == whole {
			t.Fatalf("%s does not occur", old)
		}
		return e
	}
	signature := whole[strings.Index(whole, `{"keyid"`):strings.Index(whole, `]}`)]
	for name, c := range map[string]struct{ text, want string }{
		"empty":                {"", "broken at byte 0"},
		"null":                 {"null", "payload has the type"},
		"a list":               {"[]", "no JSON object"},
		"a second value":       {whole + "{}", "broken at byte"},
		"a member more":        {envelope(`{"payloadType"`, `{"note":1,"payloadType"`), `has the member "/note"`},
		"other capitals":       {envelope(`{"payloadType"`, `{"PayloadType"`), "has the member"},
		"a member twice":       {envelope(`{"payloadType"`, `{"payloadType":"x","payloadType"`), "occurs twice"},
		"another payload":      {envelope(PayloadType, "text/plain"), `has the type "text/plain"`},
		"no base64":            {envelope(`"payload":"`, `"payload":"!`), "not base64"},
		"base64 with a break":  {envelope(`"payload":"`, `"payload":"\n`), "not base64"},
		"a short signature":    {envelope(`"sig":"`+base64.StdEncoding.EncodeToString(r.Signatures[0].Bytes), `"sig":"AAAA`), "not one of ed25519"},
		"a signature twice":    {envelope(signature, signature+","+signature), "occurs twice"},
		"many signatures":      {envelope(signature, strings.Repeat(signature+",", 64)+signature), "65 signatures"},
		"invalid UTF-8":        {envelope(`"keyid":"`, "\"keyid\":\"\xff"), "broken at byte"},
		"another statement":    {payload("Statement/v1", "Statement/v2"), "statement has the type"},
		"another predicate":    {payload("receipt/v1", "receipt/v2"), "predicate has the type"},
		"a statement's member": {payload(`"subject"`, `"more":1,"subject"`), `has the member "/more"`},
		"a subject's member":   {payload(`"name":"a/model.onnx"`, `"uri":"x","name":"a/model.onnx"`), `has the member "/subject/0/uri"`},
		"a digest's member":    {payload(`"sha256":`, `"md5":"","sha256":`), `has the member "/subject/0/digest/md5"`},
		"a subject twice":      {payload(`"tokenizer.json"`, `"a/model.onnx"`), `names "a/model.onnx" twice`},
		"a statement's twice":  {payload(`"subject"`, `"_type":"x","subject"`), "occurs twice"},
		"no subject":           {payload(`"subject":[{"name":"a/model.onnx","digest":{"sha256":"`+hash+`"}},{"name":"tokenizer.json","digest":{"sha256":"`+hash+`"}}]`, `"subject":[]`), "names no file"},
		"a path out":           {payload(`"a/model.onnx"`, `"../model.onnx"`), "not the name of a file"},
		"an absolute path":     {payload(`"a/model.onnx"`, `"/model.onnx"`), "not the name of a file"},
		"a name of nothing":    {payload(`"a/model.onnx"`, `""`), "not the name of a file"},
		"a short hash":         {payload(hash, hash[:62]), "64 hexadecimal digits"},
		"a hash in capitals":   {payload(hash, strings.ToUpper(hash)), "64 hexadecimal digits"},
		"a verdict":            {payload(`"verdict":"pass"`, `"verdict":"fail"`), "receipts are of a pass"},
		"a number as a text":   {payload(`"cases":0`, `"cases":"0"`), "another type"},
		"a number too large":   {payload(`"cases":0`, `"cases":1e99`), "another type"},
	} {
		path := filepath.Join(t.TempDir(), "r.json")
		if err := os.WriteFile(path, []byte(c.text), 0o666); err != nil {
			t.Fatal(err)
		}
		_, err := Read(path)
		var bad *FormatError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
	}
	for i := range whole[:len(whole)-1] {
		if _, err := decode([]byte(whole[:i])); err == nil {
			t.Fatalf("the first %d of %d bytes are a receipt", i, len(whole))
		}
	}
	for i := range whole { // no changed byte leaves a receipt that the key signed
		if i%7 != 0 || whole[i] == '\n' {
			continue
		}
		b := []byte(whole)
		b[i] ^= 1
		if x, err := decode(b); err == nil && x.SignedBy(key.Public()) && !strings.Contains(whole[i-min(i, 80):i], `"keyid":"`) {
			t.Errorf("byte %d may change", i)
		}
	}
}

// A receipt is read from a regular file of some size only.
func TestRefusedFiles(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "large")
	f := must(os.Create(path))
	if err := errors.Join(f.Truncate(1<<40), f.Close()); err != nil {
		t.Skip(err)
	}
	var bad *FormatError
	if _, err := Read(path); !errors.As(err, &bad) || !strings.Contains(err.Error(), "more than 16777216") {
		t.Error(err)
	}
	var notKey *KeyError
	if _, err := ReadPublic(path); !errors.As(err, &notKey) {
		t.Error(err)
	}
	var kind *SubjectError
	if _, err := Read(dir); !errors.As(err, &kind) {
		t.Error(err)
	}
	if _, err := Read(filepath.Join(dir, "nothing")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// TestKeys: keys of other kinds are refused by name, and no file is replaced.
func TestKeys(t *testing.T) {
	dir := t.TempDir()
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	ecKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	public, private := must2(ed25519.GenerateKey(rand.Reader))
	pkcs8 := func(k any) []byte { return must(x509.MarshalPKCS8PrivateKey(k)) }
	pkix := func(k any) []byte { return must(x509.MarshalPKIXPublicKey(k)) }
	block := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	decoded := func(der string) []byte { return must(base64.StdEncoding.DecodeString(der)) } // of openssl genpkey
	good := block("PRIVATE KEY", pkcs8(private))
	for name, c := range map[string]struct{ text, want string }{
		"RSA in PKCS #8":  {block("PRIVATE KEY", pkcs8(rsaKey)), "an RSA key"},
		"RSA in PKCS #1":  {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey)), "an RSA key"},
		"ECDSA":           {block("PRIVATE KEY", pkcs8(ecKey)), "an ECDSA key"},
		"Ed448":           {block("PRIVATE KEY", decoded("MEcCAQAwBQYDK2VxBDsEObANolanHaUr/mUgv1gro54JymqJWw81l6Y594JdHOc7tSgKNElK8932A2PWu3mr8YEG/lJjFTKOqw==")), "an Ed448 key"},
		"X25519":          {block("PRIVATE KEY", decoded("MC4CAQAwBQYDK2VuBCIEIHgjRkUC9kgz83cfvF5hx47sT+f21UopSILrgBE8L29v")), "an X25519 key"},
		"ed25519, cut":    {block("PRIVATE KEY", pkcs8(private)[:40]), "broken"},
		"ECDSA in SEC 1":  {block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ecKey))), "an ECDSA key"},
		"encrypted":       {block("ENCRYPTED PRIVATE KEY", []byte{1}), "encrypted"},
		"headers":         {"-----BEGIN PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END PRIVATE KEY-----\n", "headers"},
		"OpenSSH":         {block("OPENSSH PRIVATE KEY", []byte{1}), "OpenSSH"},
		"a certificate":   {block("CERTIFICATE", []byte{1}), "a certificate"},
		"broken":          {block("PRIVATE KEY", []byte{1, 2}), "broken"},
		"two keys":        {good + good, "exactly one"},
		"a text before":   {"x\n" + good, "exactly one"},
		"nothing":         {"", "exactly one"},
		"the public half": {block("PUBLIC KEY", pkix(public)), "a public key"},
		"something":       {block("X", []byte{1}), `is a "X"`},
		"curve first":     {block("EC PARAMETERS", []byte{1}) + block("EC PRIVATE KEY", must(x509.MarshalECPrivateKey(ecKey))), "an ECDSA key"},
		"OpenSSH, public": {"ssh-ed25519 AAAA me@here\n", "OpenSSH"},
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadPrivate(path)
		var bad *KeyError
		if !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) || bad.Do == "" {
			t.Errorf("%s: %v, expected %q", name, err, c.want)
		}
	}
	for name, c := range map[string]struct {
		der  []byte
		want string
	}{"RSA": {pkix(&rsaKey.PublicKey), "an RSA key"}, "ECDSA": {pkix(&ecKey.PublicKey), "an ECDSA key"}, "broken": {[]byte{1}, "broken"},
		"Ed448": {decoded("MEMwBQYDK2VxAzoAx8cfncI7lrdxK8fJqdzoFjeBgea2e0TdOQ1t+ydkxPaE3QCCHU+tBEL3QRV3wIHVrZ9VMGUdF42A"), "an Ed448 key"}} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(block("PUBLIC KEY", c.der)), 0o600); err != nil {
			t.Fatal(err)
		}
		var bad *KeyError
		if _, err := ReadPublic(path); !errors.As(err, &bad) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("public %s: %v", name, err)
		}
	}
	path := filepath.Join(dir, "key")
	must(WriteKeys(path))
	before := must(os.ReadFile(path))
	var bad *KeyError
	publicHalf := must(os.ReadFile(path + PublicEnding))
	for _, left := range []string{"both", "the private half", "the public half"} { // each is enough to refuse
		switch left {
		case "the private half":
			os.Remove(path + PublicEnding)
		case "the public half":
			os.Remove(path)
			if err := os.WriteFile(path+PublicEnding, publicHalf, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := WriteKeys(path); !errors.As(err, &bad) {
			t.Errorf("%s is there: %v", left, err)
		}
	}
	if err := os.WriteFile(path, before, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadPublic(path); !errors.As(err, &bad) || bad.Do != NamePublic {
		t.Error(err)
	}
	if runtime.GOOS == "windows" {
		return
	}
	if info := must(os.Stat(path)); info.Mode().Perm() != 0o600 {
		t.Errorf("the private key has permissions %#o", info.Mode().Perm())
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadPrivate(path); !errors.As(err, &bad) || bad.Do != ProtectKey {
		t.Error(err)
	}
}

func must2[A, B any](a A, b B, err error) (A, B) {
	if err != nil {
		panic(err)
	}
	return a, b
}

// Every file of a folder counts, links by their bytes; what is not a file is refused.
func TestFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b", "a/x", ".hidden", "receipt.json"} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o777), os.WriteFile(path, []byte(name), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	files := must(Files(t.Context(), dir, filepath.Join(dir, "receipt.json")))
	var names []string
	for _, f := range files {
		names = append(names, f.Name)
	}
	if strings.Join(names, " ") != ".hidden a/x b" {
		t.Error(names)
	}
	changed := append([]Descriptor{}, files[1:]...)
	changed[0].Digest.SHA256 = hash
	states := Compare(files, append(changed, Descriptor{"c", Digest{hash}}))
	want := []FileState{{".hidden", Missing}, {"a/x", Changed}, {"b", Same}, {"c", Extra}}
	for i, s := range states {
		if s != want[i] {
			t.Errorf("%v, expected %v", s, want[i])
		}
	}
	if _, err := Hashed(t.Context(), "/dev", []string{os.DevNull}); runtime.GOOS != "windows" && !errors.As(err, new(*SubjectError)) {
		t.Errorf("a device: %v", err)
	}
	if err := os.Symlink(filepath.Join(dir, "a"), filepath.Join(dir, "link")); err != nil {
		t.Skip(err)
	}
	var bad *SubjectError
	if _, err := Files(t.Context(), dir, ""); !errors.As(err, &bad) {
		t.Errorf("a link to a folder: %v", err)
	}
}

func FuzzReceipt(f *testing.F) {
	s, err := New([]Descriptor{{"a", Digest{hash}}}, Predicate{Verdict: Passed})
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(encoded(must(Of(s)))))
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := decode(text)
		if err != nil {
			return
		}
		back, err := decode([]byte(encoded(r)))
		if err != nil || !bytes.Equal(back.payload, r.payload) || len(back.Signatures) != len(r.Signatures) {
			t.Errorf("%q is not written as it was read: %v", text, err)
		}
	})
}

// JSON that no receipt has is refused by name: no object, and lists within lists.
func TestForeignJSON(t *testing.T) {
	for text, want := range map[string]string{
		strings.Repeat("[", 20000): "it is no JSON object",
		`{"payload":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + "}": "its JSON is nested deeper than that of receipts",
		`{"payload":"`: "its JSON ends or is broken at byte",
	} {
		path := filepath.Join(t.TempDir(), "receipt.json")
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		var bad *FormatError
		if _, err := Read(path); !errors.As(err, &bad) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, expected %q", err, want)
		}
	}
}

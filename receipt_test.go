package attnx

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/fixtures"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/arch"
	"github.com/attnx/attnx/model/tokens"
	"github.com/attnx/attnx/receipt"
	"github.com/attnx/attnx/runtime"
)

func okay(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// receiptModel is a checkpoint, and the folder that was exported of it.
func receiptModel(t *testing.T) (checkpoint, folder string) {
	dir := t.TempDir()
	c, err := model.New(arch.GPT2{Vocab: 12, Context: 8, Width: 8, Layers: 1, Heads: 2, Inner: 8, Epsilon: 1e-5}, 1)
	okay(t, err)
	tok, err := tokens.Train(tokens.Char, "to be or not", 12)
	okay(t, err)
	c.Tokenizer, err = tok.MarshalJSON()
	okay(t, err)
	checkpoint, folder = filepath.Join(dir, "tiny.safetensors"), filepath.Join(dir, "tiny")
	okay(t, c.Save(checkpoint))
	_, err = Export(t.Context(), checkpoint, folder+string(filepath.Separator), ExportOptions{Profile: export.Cache{}})
	okay(t, err)
	return checkpoint, folder
}

// receiptOf writes a signed receipt of a verification, and returns its path and key. Without
// ONNX Runtime it is of the files alone.
func receiptOf(t *testing.T, checkpoint, folder string) (path string, public receipt.PublicKey) {
	dir := t.TempDir()
	public, err := MakeReceiptKey(filepath.Join(dir, "key.pem"))
	okay(t, err)
	private, err := receipt.ReadPrivate(filepath.Join(dir, "key.pem"))
	okay(t, err)
	path = filepath.Join(dir, "receipt.json")
	report, err := VerifyWithReceipt(t.Context(), []string{checkpoint, folder}, path, &private, nil, VerifyOptions{Seed: 1, Runtimes: []string{"ort-cpu-cache"}})
	okay(t, err)
	if report.Verdict != runtime.Pass {
		t.Skipf("not verified: %s", report.Reason)
	}
	return path, public
}

// TestReceipt: a receipt is valid for the files that were verified, in the same form each
// time. A changed byte of any file makes it invalid, and so does a file that is missing,
// added or exchanged, another model, another key or another receipt. The exhaustive run tries each byte.
func TestReceipt(t *testing.T) {
	checkpoint, folder := receiptModel(t)
	path, key := receiptOf(t, checkpoint, folder)
	valid := func(models ...string) bool {
		t.Helper()
		c, err := CheckReceipt(t.Context(), path, models, checkpoint, &key)
		okay(t, err)
		return c.Valid
	}
	if !valid(folder) {
		t.Fatal("it is not valid for what was verified")
	}
	again := filepath.Join(t.TempDir(), "again.json")
	private, err := receipt.ReadPrivate(filepath.Join(filepath.Dir(path), "key.pem"))
	okay(t, err)
	_, err = VerifyWithReceipt(t.Context(), []string{checkpoint, folder}, again, &private, nil, VerifyOptions{Seed: 1, Runtimes: []string{"ort-cpu-cache"}})
	okay(t, err)
	if a, b := readText(t, path), readText(t, again); a != b {
		t.Error("equal verifications give other receipts")
	}
	inside := filepath.Join(folder, "receipt.json") // beside the model
	okay(t, os.WriteFile(inside, []byte(readText(t, path)), 0o666))
	if c, err := CheckReceipt(t.Context(), inside, []string{folder}, "", &key); err != nil || !c.Valid {
		t.Error("a receipt beside the model is not valid", err)
	}
	okay(t, os.Remove(inside))

	stride, tried := fixtures.Stride(97), 0
	okay(t, filepath.WalkDir(folder, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text := []byte(readText(t, file))
		for i := tried % stride; i < len(text); i += stride {
			text[i] ^= 1 << (i % 8)
			okay(t, os.WriteFile(file, text, 0o666))
			if c, err := CheckReceipt(t.Context(), path, []string{folder}, "", nil); err != nil || c.Valid {
				t.Errorf("%s: byte %d may change", file, i)
			}
			text[i] ^= 1 << (i % 8)
			tried++
		}
		return os.WriteFile(file, text, 0o666)
	}))
	t.Logf("%d bytes", tried)

	a, b := filepath.Join(folder, "config.json"), filepath.Join(folder, "generation_config.json")
	ta, tb := readText(t, a), readText(t, b)
	for name, change := range map[string]func(){
		"exchanged": func() { okay(t, errors.Join(os.WriteFile(a, []byte(tb), 0o666), os.WriteFile(b, []byte(ta), 0o666))) },
		"missing":   func() { okay(t, os.Remove(b)) },
		"renamed":   func() { okay(t, os.Rename(b, b+"x")) },
		"added":     func() { okay(t, os.WriteFile(b+"x", nil, 0o666)) },
		"cut":       func() { okay(t, os.WriteFile(b, []byte(tb[:len(tb)-1]), 0o666)) },
		"longer":    func() { okay(t, os.WriteFile(b, []byte(tb+"\n"), 0o666)) },
	} {
		if change(); valid(folder) {
			t.Errorf("files are %s and the receipt is valid", name)
		}
		os.Remove(b + "x")
		okay(t, errors.Join(os.WriteFile(a, []byte(ta), 0o666), os.WriteFile(b, []byte(tb), 0o666)))
		if !valid(folder) {
			t.Fatalf("%s: not as it was", name)
		}
	}
	if valid(filepath.Join(folder, "model.onnx")) {
		t.Error("a part of the model is enough")
	}
	otherCheckpoint, otherFolder := receiptModel(t)
	okay(t, os.WriteFile(filepath.Join(otherFolder, "config.json"), []byte(ta+" "), 0o666))
	if valid(otherFolder) {
		t.Error("another model is valid")
	}
	okay(t, os.WriteFile(otherCheckpoint, []byte("x"), 0o666))
	if c, err := CheckReceipt(t.Context(), path, []string{folder}, otherCheckpoint, &key); err != nil || c.Valid {
		t.Error("another checkpoint is valid", err)
	}
	stranger, err := MakeReceiptKey(filepath.Join(t.TempDir(), "key"))
	okay(t, err)
	if c, err := CheckReceipt(t.Context(), path, []string{folder}, "", &stranger); err != nil || c.Valid || c.Signed != "not by the key" {
		t.Error("a stranger's key is valid", err)
	}
	var text strings.Builder
	c, err := CheckReceipt(t.Context(), path, []string{folder}, "", nil)
	okay(t, err)
	okay(t, c.WriteText(&text))
	if !strings.Contains(text.String(), "anybody may have written") {
		t.Error(text.String())
	}
}

// A receipt of a file that was neither proved nor run, as earlier versions wrote them, is
// not valid.
func TestReceiptOfNothing(t *testing.T) {
	checkpoint, folder := receiptModel(t)
	path, key := receiptOf(t, checkpoint, folder)
	for layer, want := range map[runtime.Layer]bool{runtime.IdenticalLayer: true, runtime.SamplesLayer: true, runtime.OpenLayer: false, runtime.DifferentLayer: false} {
		r, err := receipt.Read(path)
		okay(t, err)
		p := r.Statement.Predicate
		p.Files = []receipt.File{{Name: "model.onnx", Layer: string(layer)}}
		s, err := receipt.New(r.Statement.Subject, p)
		okay(t, err)
		r, err = receipt.Of(s)
		okay(t, err)
		private, err := receipt.ReadPrivate(filepath.Join(filepath.Dir(path), "key.pem"))
		okay(t, err)
		r.Sign(private)
		of := filepath.Join(t.TempDir(), "receipt.json")
		okay(t, writeTo(of, r.Encode))
		c, err := CheckReceipt(t.Context(), of, []string{folder}, "", &key)
		okay(t, err)
		var text strings.Builder
		okay(t, c.WriteText(&text))
		if c.Valid != want || strings.Contains(text.String(), "verify the model again") == want {
			t.Errorf("%s: %s", layer, text.String())
		}
	}
}

// What cannot have a receipt gets none, and no file is replaced.
func TestNoReceipt(t *testing.T) {
	checkpoint, folder := receiptModel(t)
	to := filepath.Join(t.TempDir(), "receipt.json")
	refused := func(paths ...string) error {
		_, err := VerifyWithReceipt(t.Context(), paths, to, nil, nil, VerifyOptions{Seed: 1, Runtimes: []string{"ref"}})
		return err
	}
	if err := refused(checkpoint); err != nil { // a verdict that is no pass is no error
		t.Error(err)
	}
	if _, err := os.Stat(to); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a receipt of what did not pass: %v", err)
	}
	var bad *receipt.SubjectError
	if err := refused(folder); !errors.As(err, &bad) {
		t.Errorf("the folder as a checkpoint alone: %v", err)
	}
	okay(t, os.WriteFile(to, []byte("mine"), 0o666))
	if err := refused(checkpoint, folder); err == nil || !strings.Contains(err.Error(), "already exists") || readText(t, to) != "mine" {
		t.Errorf("a file is replaced: %v", err)
	}
	written, _ := receiptOf(t, checkpoint, folder)
	outside := filepath.Join(folder, "outside.onnx")
	m := &onnx.Model{IRVersion: 8, Opsets: []onnx.Opset{{Version: 17}}, Graph: &onnx.Graph{Name: "g", Initializers: []*onnx.Tensor{{Name: "w", DataType: onnx.Float, Dims: []int64{1}, External: &onnx.External{Location: "../elsewhere"}}}}}
	okay(t, writeTo(outside, m.Encode))
	if _, err := CheckReceipt(t.Context(), written, []string{outside}, "", nil); !errors.As(err, &bad) || !strings.Contains(err.Error(), "outside its folder") {
		t.Errorf("weights outside the folder: %v", err)
	}
	if _, err := SignReceipt(to, receipt.PrivateKey{}); !errors.As(err, new(*receipt.FormatError)) || readText(t, to) != "mine" {
		t.Errorf("what is no receipt is signed: %v", err)
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	okay(t, err)
	return string(text)
}

// TestReceiptElsewhere: securesystemslib verifies our envelope and in-toto's library reads
// our statement, and a receipt that securesystemslib signed is valid here.
func TestReceiptElsewhere(t *testing.T) {
	python := os.Getenv("ATTNX_PYTHON")
	if python == "" || exec.Command(python, "-c", "import securesystemslib, in_toto_attestation").Run() != nil {
		t.Skip("ATTNX_PYTHON names no Python with securesystemslib and in-toto-attestation")
	}
	checkpoint, folder := receiptModel(t)
	path, _ := receiptOf(t, checkpoint, folder)
	out := filepath.Join(t.TempDir(), "theirs")
	cmd := exec.Command(python, "-B", "fixtures/oracle/check_receipt.py", path, filepath.Join(filepath.Dir(path), "key.pem.pub"), out)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	answer, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var read struct {
		Subjects map[string]struct{ SHA256 string }
		Type     string `json:"predicate_type"`
	}
	okay(t, json.Unmarshal(answer, &read))
	files, err := receipt.Files(t.Context(), folder, "")
	okay(t, err)
	if read.Type != receipt.PredicateType || len(read.Subjects) != len(files) {
		t.Errorf("they read %+v", read)
	}
	for _, f := range files {
		if read.Subjects[f.Name].SHA256 != f.Digest.SHA256 {
			t.Errorf("%s: they read %v", f.Name, read.Subjects[f.Name])
		}
	}
	key, err := receipt.ReadPublic(out + ".pub")
	okay(t, err)
	if c, err := CheckReceipt(t.Context(), out+".json", []string{folder}, "", &key); err != nil || !c.Valid {
		t.Errorf("what they signed is not valid: %v", err)
	}
}

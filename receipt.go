package attnx

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/internal/output"
	"github.com/attnx/attnx/internal/quote"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/graph"
	"github.com/attnx/attnx/receipt"
	"github.com/attnx/attnx/runtime"
)

// VerifyWithReceipt is VerifyFiles, and writes a receipt of a pass to a new file:
// what was verified, of what it was made, and what was found (see package receipt). If
// key is not nil, it signs the receipt. The subjects are all files of the models that
// paths name after a checkpoint, or of the checkpoint if it is alone. It returns an error if
// a file changes meanwhile. Whether the report's verdict is pass decides whether
// a receipt was written.
func VerifyWithReceipt(ctx context.Context, paths []string, to string, key *receipt.PrivateKey, tell Tell, o VerifyOptions) (runtime.Report, error) {
	claim, err := output.Claim(output.Receipt, to, paths...)
	if err != nil {
		return runtime.Report{}, err
	}
	defer claim.Close()
	source, subject, err := divided(paths, tell)
	if err != nil {
		return runtime.Report{}, err
	}
	before, err := evidenceOf(ctx, source, subject)
	if err != nil {
		return runtime.Report{}, err
	}
	o.Readings = true // the receipt names the worst node
	report, c, err := verifyFiles(ctx, slices.Concat(source, subject), tell, o)
	if err != nil || report.Verdict != runtime.Pass {
		return report, err
	}
	after, err := evidenceOf(ctx, source, subject)
	if err != nil {
		return report, err
	}
	if !slices.Equal(before.subject, after.subject) || !slices.Equal(before.source, after.source) {
		return report, errors.New("receipt: a file of the model changed while it was verified: verify it again")
	}
	p, err := predicateOf(ctx, before, report, c, o)
	if err != nil {
		return report, err
	}
	s, err := receipt.New(before.subject, p)
	if err != nil {
		return report, fmt.Errorf("receipt: %w", err)
	}
	r, err := receipt.Of(s)
	if err != nil {
		return report, err
	}
	if key != nil {
		r.Sign(*key)
	}
	if o.Saving != nil {
		o.Saving()
	}
	return report, store.Save(to, r.Encode)
}

// divided returns the checkpoint from which the other files were made, and those
// files. A checkpoint alone is the subject. The folder of a run, or a pointer in
// one, becomes the checkpoint that is read.
func divided(paths []string, tell Tell) (source, subject []string, err error) {
	paths = slices.Clone(paths)
	if kind, err := find.ExpectModel(find.TestedIn(paths[0])); err == nil && kind == find.ONNX {
		return nil, paths, nil
	}
	if kind, err := find.ExpectModel(paths[0]); err == nil && kind != find.ModelFolder {
		if paths[0], err = find.Resolve(paths[0], tell); err != nil {
			return nil, nil, err
		}
	}
	if len(paths) == 1 {
		if file := find.ModelIn(paths[0]); file != paths[0] {
			return nil, nil, &receipt.SubjectError{File: file, Reason: "the checkpoint beside it would be verified without it, and the receipt would cover both: name the folder twice, as the checkpoint and as the model"}
		}
		return nil, paths, nil
	}
	return paths[:1], paths[1:], nil
}

// evidence is the files of a verification, by their hashes.
type evidence struct {
	source, subject []receipt.Descriptor
	name            func(path string) string // of a file in the receipt
}

func evidenceOf(ctx context.Context, source, subject []string) (e evidence, err error) {
	if e.source, err = descriptors(ctx, source, ""); err == nil {
		e.subject, err = descriptors(ctx, subject, "")
	}
	e.name = func(path string) string { return nameIn(subject, path) }
	return e, err
}

// descriptors returns all files of models. Of a folder these are all files in it; of
// an ONNX file, it and its weights. The file except is left out.
func descriptors(ctx context.Context, paths []string, except string) (all []receipt.Descriptor, err error) {
	for _, path := range paths {
		var files []receipt.Descriptor
		if find.IsFolder(path) {
			files, err = receipt.Files(ctx, path, except)
		} else {
			parts := []string{path}
			if o, err := onnx.ReadOutline(path); err == nil {
				for _, data := range o.Data {
					if !filepath.IsLocal(filepath.FromSlash(data)) {
						return nil, &receipt.SubjectError{File: path, Reason: fmt.Sprintf("its weights are said to be in %.200q, outside its folder: put them beside the file", data)}
					}
					parts = append(parts, filepath.Join(filepath.Dir(path), filepath.FromSlash(data)))
				}
			}
			files, err = receipt.Hashed(ctx, filepath.Dir(path), parts)
		}
		if err != nil {
			return nil, err
		}
		if prefix := prefixOf(paths, path); prefix != "" {
			files = receipt.Below(prefix, files)
		}
		for _, f := range files {
			if i := slices.IndexFunc(all, func(g receipt.Descriptor) bool { return g.Name == f.Name }); i >= 0 && all[i] != f {
				return nil, &receipt.SubjectError{File: path, Reason: fmt.Sprintf("another model has a file %.80q too, which its receipt could not tell apart: verify them one at a time", f.Name)}
			} else if i < 0 {
				all = append(all, f)
			}
		}
	}
	slices.SortFunc(all, func(a, b receipt.Descriptor) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// prefixOf returns the folder's name under which a receipt has the files of a model,
// "" for a single model and for files.
func prefixOf(paths []string, path string) string {
	if len(paths) == 1 || !find.IsFolder(path) {
		return ""
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return filepath.Base(path)
}

// nameIn returns the name of a file in a receipt of models.
func nameIn(models []string, path string) string {
	for _, m := range models {
		folder := m
		if !find.IsFolder(m) {
			folder = filepath.Dir(m)
		}
		if name, err := filepath.Rel(folder, path); err == nil && filepath.IsLocal(name) {
			return filepath.ToSlash(filepath.Join(prefixOf(models, m), name))
		}
	}
	return filepath.Base(path)
}

// predicateOf returns what a verification found. It has no time and no path of this
// machine, so that equal verifications give equal receipts. c is the checkpoint; nil for
// files that were compared with their own graphs.
func predicateOf(ctx context.Context, e evidence, report runtime.Report, c *model.Checkpoint, o VerifyOptions) (receipt.Predicate, error) {
	p := receipt.Predicate{
		Verifier: receipt.Verifier{Name: modulePath, Version: strings.ReplaceAll(Version(), "\n", ", "), Go: goruntime.Version(), Platform: goruntime.GOOS + "/" + goruntime.GOARCH},
		Source:   e.source, Verdict: string(report.Verdict), Oracle: report.Oracle, Seed: o.Seed, Cases: report.Cases,
	}
	if c != nil {
		sum := sha256.New()
		for _, w := range c.Weights {
			fmt.Fprintf(sum, "%q %s %v\n", w.Name, w.DType, w.Shape)
			sum.Write(w.Data)
		}
		p.Network = &receipt.Network{Architecture: c.Arch, Fingerprint: graph.Fingerprint(c.Graph), Weights: receipt.Digest{SHA256: hex.EncodeToString(sum.Sum(nil))}}
	}
	for _, l := range Libraries() {
		path, _, version := l.Used()
		if path == "" {
			continue
		}
		files, err := receipt.Hashed(ctx, filepath.Dir(path), []string{path})
		if err != nil {
			return p, err
		}
		p.Libraries = append(p.Libraries, receipt.Library{Name: l.Title, Version: version, Digest: files[0].Digest})
	}
	for _, f := range report.Files {
		p.Files = append(p.Files, receipt.File{Name: e.name(f.File), Layer: string(f.Layer), RestsOn: f.RestsOn})
	}
	for _, x := range report.Results {
		r := receipt.Runtime{Name: x.Runtime, Status: string(x.Status), Cases: x.Cases, Closest: x.Closest,
			MaxAbs: finite(float64(x.MaxAbs)), MaxRel: finite(float64(x.MaxRel)), Bound: finite(float64(x.Bound)), BoundRatio: finite(float64(x.BoundRatio))}
		if x.File != "" {
			r.File = e.name(x.File)
		}
		if b := x.Readings; b != nil {
			r.Worst, r.Executed, r.Probabilistic = finite(float64(b.Worst)), finite(float64(b.Executed)), finite(float64(b.Probabilistic))
			if len(b.Parts) > 0 {
				r.WorstNode = &receipt.WorstNode{Value: b.Parts[0].Value, Op: b.Parts[0].Op, Share: finite(float64(b.Parts[0].Share))}
			}
		}
		p.Runtimes = append(p.Runtimes, r)
	}
	if v := report.Coverage; v != nil {
		pair := func(c runtime.Count) [2]int { return [2]int{c.Covered, c.Of} }
		p.Coverage = &receipt.Coverage{Budget: v.Budget, IDs: pair(v.IDs), Positions: pair(v.Positions), Lengths: v.Lengths, Lacking: v.Lacking,
			Batches: v.Batches, Masks: v.Masks, Pairs: pair(v.Pairs), Elements: pair(v.Elements), LeftOut: v.LeftOut}
	}
	return p, nil
}

// byTheKey is ReceiptCheck.Signed of a receipt that the key signed.
const byTheKey = "by the key"

// ReceiptCheck is how models agree with a receipt.
type ReceiptCheck struct {
	Receipt   string              `json:"receipt"`
	Valid     bool                `json:"valid"`     // it is signed by the key, no file differs, and it says that each was verified
	Signed    string              `json:"signed"`    // "by the key", "not by the key", or "not checked"
	Key       string              `json:"key"`       // the name of the key: the SHA-256 of its public half
	Files     []receipt.FileState `json:"files"`     // of the model
	Source    []receipt.FileState `json:"source"`    // of the checkpoint, if it is compared
	Statement receipt.Statement   `json:"statement"` // what the receipt says
}

// CheckReceipt compares the signature of a receipt with a public key, and every
// byte of the models with it. Models are named as when they were verified. source is the
// checkpoint of which they were made; "": it is not compared. Without a key, anybody may have
// written the receipt.
func CheckReceipt(ctx context.Context, path string, models []string, source string, key *receipt.PublicKey) (*ReceiptCheck, error) {
	r, err := receipt.Read(path)
	if err != nil {
		return nil, err
	}
	c := &ReceiptCheck{Receipt: path, Signed: "not checked", Valid: saysVerified(r.Statement.Predicate), Source: []receipt.FileState{}, Statement: r.Statement}
	if key != nil {
		c.Key, c.Signed = key.ID(), byTheKey
		if !r.SignedBy(*key) {
			c.Signed, c.Valid = "not by the key", false
		}
	}
	for _, part := range []struct {
		named []receipt.Descriptor
		paths []string
		to    *[]receipt.FileState
	}{{r.Statement.Subject, models, &c.Files}, {r.Statement.Predicate.Source, slices.DeleteFunc([]string{source}, func(s string) bool { return s == "" }), &c.Source}} {
		if len(part.paths) == 0 {
			continue
		}
		var paths []string
		for _, path := range part.paths {
			if kind, err := find.ExpectModel(path); err == nil && kind == find.RunFolder || filepath.Base(path) == store.LatestName || filepath.Base(path) == store.BestName {
				if path, err = find.Resolve(path, nil); err != nil {
					return nil, err
				}
			}
			paths = append(paths, path)
		}
		there, err := descriptors(ctx, paths, path)
		if err != nil {
			return nil, err
		}
		*part.to = receipt.Compare(part.named, there)
		for _, f := range *part.to {
			c.Valid = c.Valid && f.State == receipt.Same
		}
	}
	return c, nil
}

// saysVerified reports whether a receipt says that the model passed, each file proved or run:
// earlier versions wrote receipts of files that were neither.
func saysVerified(p receipt.Predicate) bool {
	return p.Verdict == string(runtime.Pass) && !slices.ContainsFunc(p.Files, func(f receipt.File) bool {
		return f.Layer != string(runtime.IdenticalLayer) && f.Layer != string(runtime.SamplesLayer)
	})
}

// WriteText writes the files that differ, and what the receipt says of the others.
func (c *ReceiptCheck) WriteText(w io.Writer) error {
	var b strings.Builder
	same := 0
	for _, part := range []struct {
		files []receipt.FileState
		whose string
	}{{c.Files, ""}, {c.Source, " of the checkpoint"}} {
		for _, f := range part.files {
			if f.State == receipt.Same {
				same++
				continue
			}
			fmt.Fprintf(&b, "%-8s %q%s\n", f.State, f.Name, part.whose)
		}
	}
	differ := len(c.Files) + len(c.Source) - same
	p, forged := c.Statement.Predicate, c.Key != "" && c.Signed != byTheKey
	switch {
	case forged: // what it says is whoever's who wrote it
	case differ == 0:
		for _, f := range p.Files {
			fmt.Fprintf(&b, "%q: %s: %s\n", f.Name, quote.Line(f.Layer, 200), quote.Line(f.RestsOn, 2000))
		}
		for _, x := range p.Runtimes {
			if x.Status == string(runtime.StatusOK) && x.BoundRatio != nil {
				fmt.Fprintf(&b, "%s: %d cases; the error of %s, which came closest, fits %.1f times into its bound\n", quote.Line(x.Name, 200), x.Cases, quote.Line(x.Closest, 200), *x.BoundRatio)
			}
		}
		fmt.Fprintf(&b, "%d files, each byte as %s %s verified it\n", same, quote.Line(p.Verifier.Name, 200), quote.Line(p.Verifier.Version, 200))
	default:
		fmt.Fprintf(&b, "%d of %d files differ from those that were verified\n", differ, len(c.Files)+len(c.Source))
	}
	switch {
	case c.Key == "":
		b.WriteString("the signature was not checked: anybody may have written this receipt\n")
	case !forged:
		fmt.Fprintf(&b, "signed by the key %.16s\n", c.Key)
	default:
		fmt.Fprintf(&b, "the key %.16s did not sign this receipt\n", c.Key)
	}
	if !saysVerified(p) && !forged {
		b.WriteString("it does not say that each file was verified: verify the model again\n")
	}
	verdict := "valid"
	if !c.Valid {
		verdict = "not valid"
	}
	fmt.Fprintf(&b, "%s: %s\n", c.Receipt, verdict)
	_, err := io.WriteString(w, b.String())
	return err
}

// SignReceipt adds the signature of a key to the receipt in a file, and returns the
// names of all keys that signed it.
func SignReceipt(path string, key receipt.PrivateKey) (keys []string, err error) {
	claim, err := output.Claim(output.SignedReceipt, path)
	if err != nil {
		return nil, err
	}
	defer claim.Close()
	r, err := receipt.Read(path)
	if err != nil {
		return nil, err
	}
	r.Sign(key)
	for _, s := range r.Signatures {
		keys = append(keys, s.KeyID)
	}
	return keys, store.Save(path, r.Encode)
}

// MakeReceiptKey makes an ed25519 key: its private half in a new file, which only its
// owner can read, its public half beside it under the name with .pub.
func MakeReceiptKey(path string) (receipt.PublicKey, error) {
	claim, err := output.Claim(output.Key, path)
	if err != nil {
		return receipt.PublicKey{}, err
	}
	defer claim.Close()
	return receipt.WriteKeys(path)
}

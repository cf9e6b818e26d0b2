package attnx

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/attnx/attnx/export"
	"github.com/attnx/attnx/export/onnx"
	"github.com/attnx/attnx/export/onnx/branch"
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/huggingface"
	"github.com/attnx/attnx/runtime"
)

// pairIn returns the files of the folder of a network that translates, or of the folder
// of its models alone: its encoder, and its decoder in two files or in one. ok is false
// for another folder.
func pairIn(path string) (encoder, first, next string, ok bool) {
	if !find.IsFolder(path) {
		return "", "", "", false
	}
	for _, dir := range []string{"", find.ONNXFolder + "/"} {
		for _, n := range webNumbers {
			name := func(file string) string { return dir + strings.TrimSuffix(file, ".onnx") + n.suffix + ".onnx" }
			switch {
			case !regularIn(path, name(encoderFile)):
			case regularIn(path, name(mergedFile)) && !regularIn(path, name(firstFile)):
				return name(encoderFile), name(mergedFile), name(mergedFile), true
			default:
				return name(encoderFile), name(firstFile), name(nextFile), true
			}
		}
	}
	return "", "", "", false
}

// isPair reports whether a path is the folder of a network that translates.
func isPair(path string) bool {
	_, _, _, ok := pairIn(path)
	return ok
}

// NameFolder is the remedy for one file of a network that translates.
const NameFolder = "name the folder that it is in"

// NameAFolder is the remedy for a file where a network that translates is written.
const NameAFolder = "name a folder for them, with / at its end"

// partOf reports that a file is a part of a network that translates.
func partOf(path string, m *onnx.Model, c *model.Checkpoint) error {
	for key, text := range m.Metadata {
		if strings.HasSuffix(key, model.MetaConfig) && c.Translates() && strings.Contains(text, `"`+c.Arch+", ") {
			return &Error{Err: fmt.Errorf("%s: it is one part of a network that translates", path), Do: NameFolder}
		}
	}
	return nil
}

// verifyPair is Verify for the folder of a network that translates: each of its parts is
// compared with that of the checkpoint, by structure and in every runtime. A merged
// decoder is compared in both of its branches.
func verifyPair(ctx context.Context, c *model.Checkpoint, folder string, o VerifyOptions) (all runtime.Report, err error) {
	cut, err := c.Cut()
	if err != nil {
		return all, fmt.Errorf("%s: %w", folder, err)
	}
	parts, err := cut.Checkpoints(c)
	if err != nil {
		return all, err
	}
	encoder, first, next, _ := pairIn(folder)
	for i, name := range []string{encoder, first, next} {
		path := filepath.Join(folder, filepath.FromSlash(name))
		if err := missingPart(path); err != nil {
			return all, err
		}
		verify := Verify
		if first == next && i > 0 {
			form, yes := mergedForm(parts[2].Graph), i == 2
			name += map[bool]string{true: " with " + cacheInput, false: " without " + cacheInput}[yes]
			verify = func(ctx context.Context, c *model.Checkpoint, files []string, o VerifyOptions) (runtime.Report, error) {
				return verifyBranch(ctx, c, form, yes, files, o)
			}
		}
		r, err := verify(ctx, parts[i], []string{path}, o)
		if err != nil {
			return all, err
		}
		against := slices.ContainsFunc(r.Results, func(x runtime.Result) bool { return x.File == path })
		for j, x := range r.Results {
			if r.Results[j].File = name; against && x.File != path { // beside a file with integers, the network in float32
				r.Results[j].File += " without integers"
			}
		}
		for j, x := range r.Files {
			if r.Files[j].File = name; x.File != path {
				r.Files[j].File += " without integers"
			}
		}
		if i == 0 {
			all = r
			continue
		}
		all.Checks, all.Results, all.Files = append(all.Checks, r.Checks...), append(all.Results, r.Results...), append(all.Files, r.Files...)
		all.Cases = max(all.Cases, r.Cases)
		if all.Verdict == runtime.Pass && r.Verdict != runtime.Pass {
			all.Verdict, all.Reason = r.Verdict, r.Reason
		}
	}
	all.Coverage = nil                                                         // of one part each
	m, err := find.ReadModel(filepath.Join(folder, filepath.FromSlash(first))) // an encoder may have no integers
	if err != nil {
		return all, err
	}
	if first == next {
		if m, err = branch.Split(mergedForm(parts[2].Graph), m, false, namesOfInputs(parts[1].Graph)); err != nil {
			return all, fmt.Errorf("%s: %w", first, err)
		}
	}
	plain, _ := export.ProfileOf(m, export.Plain{}).(export.Plain)
	if !regularIn(folder, "config.json") { // models alone
		return all, nil
	}
	checks, err := comparePair(c, folder, plain, first == next)
	if err != nil {
		return all, err
	}
	before := all.Checks
	all = all.With(checks)
	all.Checks = append(before, all.Checks...)
	return all, nil
}

// comparePair compares the files beside the models with those that export writes.
func comparePair(c *model.Checkpoint, folder string, p export.Plain, web bool) ([]runtime.Check, error) {
	f, err := assemblePair(c, p, web)
	if err != nil {
		return nil, fmt.Errorf("%s: comparing it with what export writes: %w", folder, err)
	}
	checks, err := compareTexts(c, folder, f.parts.Texts)
	if err == nil && f.torch {
		var check runtime.Check
		check, err = compareWeights(filepath.Join(folder, huggingface.WeightsName), f.parts.Weights)
		checks = append(checks, check)
	}
	return checks, err
}

// verifyBranch is Verify for a branch of a merged decoder.
func verifyBranch(ctx context.Context, c *model.Checkpoint, f branch.Form, yes bool, files []string, o VerifyOptions) (runtime.Report, error) {
	path := files[0]
	m, err := find.ReadModel(path)
	if err != nil {
		return runtime.Report{}, err
	}
	verified, err := find.VerifyWeights(path, m)
	if err == nil {
		err = verified()
	}
	if err != nil {
		return runtime.Report{}, err
	}
	part, err := branch.Split(f, m, yes, namesOfInputs(c.Graph))
	if err != nil {
		return runtime.Report{}, fmt.Errorf("%s: %w", path, err)
	}
	whole, err := withoutWeights(m)
	if err != nil {
		return runtime.Report{}, fmt.Errorf("%s: %w", path, err)
	}
	v, err := verificationOf(c, files, o, func(v *verification) error {
		return v.readModel(path, part, &within{form: f, yes: yes, file: whole, compare: true})
	})
	if err != nil {
		return runtime.Report{}, err
	}
	return v.run(ctx)
}

package attnx

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/runtime"
)

// isPair reports whether a path is the folder of a network that translates.
func isPair(path string) bool { return find.IsFolder(path) && regularIn(path, encoderFile) }

// verifyPair is Verify for the folder of a network that translates: each of its parts is
// compared with that of the checkpoint, by structure and in every runtime.
func verifyPair(ctx context.Context, c *model.Checkpoint, folder string, o VerifyOptions) (all runtime.Report, err error) {
	cut, err := c.Cut()
	if err != nil {
		return all, fmt.Errorf("%s: %w", folder, err)
	}
	parts, err := cut.Checkpoints(c)
	if err != nil {
		return all, err
	}
	for i, name := range pairFiles {
		r, err := Verify(ctx, parts[i], []string{filepath.Join(folder, name)}, o)
		if err != nil {
			return all, err
		}
		for j := range r.Results {
			r.Results[j].File = name
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
	all.Coverage = nil // of one part each
	return all, nil
}

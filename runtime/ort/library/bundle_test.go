package library

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/runtime"
)

// TestBundles checks the table's form; that its hashes are the packages' is
// what Install itself checks on every machine that has none of them yet.
func TestBundles(t *testing.T) {
	for _, system := range []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64", "windows/arm64"} {
		goos, goarch, _ := strings.Cut(system, "/")
		from := cpuBundles(goos, goarch)
		if len(from) != 2 || from[0].Client != "npm" || from[1].Client != "pip" {
			t.Errorf("%s: %d bundles", system, len(from))
		}
		for _, b := range from {
			if raw, err := hex.DecodeString(b.SHA256); err != nil || len(raw) != sha256.Size || b.Size < 1<<20 || !strings.Contains(b.File, Version) {
				t.Errorf("%s: %+v", system, b)
			}
		}
	}
	for _, system := range []string{"linux/amd64", "windows/amd64"} {
		goos, goarch, _ := strings.Cut(system, "/")
		from := gpuBundles(goos, goarch)
		if len(from) != 1 || from[0].Client != "pip" || len(from[0].Files) != 3 {
			t.Fatalf("%s: the GPU build is %+v", system, from)
		}
		if raw, err := hex.DecodeString(from[0].SHA256); err != nil || len(raw) != sha256.Size || from[0].Size < 100<<20 || !strings.HasPrefix(from[0].File, "onnxruntime_gpu-"+Version+"-") {
			t.Errorf("%s: %+v", system, from[0])
		}
	}
	if from := append(cpuBundles("plan9", "amd64"), gpuBundles("darwin", "arm64")...); from != nil {
		t.Errorf("systems without a build: %v", from)
	}
}

func TestFindOrInstallNamed(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.so")
	_, err := FindOrInstall(context.Background(), none, func(int64, int64) { t.Error("it fetches another library than the one that was named") })
	if !errors.Is(err, runtime.ErrUnavailable) {
		t.Errorf("a named library that is not there: %v", err)
	}
}

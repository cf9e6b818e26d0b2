package openvino

import (
	"encoding/hex"
	"errors"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/attnx/attnx/runtime"
)

// TestBundles checks the table's form; that its hashes are the packages' is what
// Install itself checks on every machine that has none of them yet.
func TestBundles(t *testing.T) {
	for _, system := range []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"} {
		goos, goarch, _ := strings.Cut(system, "/")
		from := bundles(goos, goarch)
		if len(from) != 1 || from[0].Client != "pip" || !strings.HasPrefix(from[0].File, "openvino-"+Version+"-") || from[0].Size < 20<<20 {
			t.Fatalf("%s: %+v", system, from)
		}
		hashes := []string{from[0].SHA256}
		for i, part := range []string{"openvino_c", "openvino", "openvino_onnx_frontend", "_cpu_plugin", "tbb"} {
			f := from[0].Files[i]
			if !strings.Contains(path.Base(f.Member), part) || !strings.HasPrefix(f.Member, "openvino/libs/") || f.Size < 1<<17 {
				t.Errorf("%s: %+v, expected %s", system, f, part)
			}
			hashes = append(hashes, f.SHA256)
		}
		for _, h := range hashes {
			if raw, err := hex.DecodeString(h); err != nil || len(raw) != 32 {
				t.Errorf("%s: %q is no SHA-256", system, h)
			}
		}
	}
	if from := append(bundles("darwin", "amd64"), bundles("windows", "arm64")...); from != nil {
		t.Errorf("systems without a build: %v", from)
	}
}

func TestFindNamed(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.so")
	t.Setenv(EnvLibrary, none)
	_, _, err := search("")
	if !errors.Is(err, runtime.ErrUnavailable) || !strings.Contains(err.Error(), EnvLibrary+" names "+none) {
		t.Errorf("a named library that is not there: %v", err)
	}
}

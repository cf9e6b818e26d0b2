//go:build cgo

package ort

import (
	"errors"
	"strings"
	"testing"

	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/runtime"
)

// TestCUDADevice asks for CUDA with the installed library. Where CUDA works it
// must be used; elsewhere the refusal must be typed, name what is missing, and
// never be a session on the CPU.
func TestCUDADevice(t *testing.T) {
	needLibrary(t)
	s, err := OpenBytes(embedModel().bytes(), Options{Device: "cuda"})
	if err == nil {
		defer s.Close()
		if s.Device() != "cuda" {
			t.Fatalf("asked for cuda, got %q", s.Device())
		}
	} else {
		var cuda *CUDAError
		if !errors.As(err, &cuda) || !errors.Is(err, runtime.ErrUnavailable) {
			t.Fatalf("the refusal is not typed: %v", err)
		}
		if loaded, _ := InUse(); loaded.Source == "cache" && cuda.Missing != MissingCUDABuild && cuda.Missing != MissingProviderLibrary {
			t.Errorf("the library that Install fetches has no CUDA provider, but %s is reported: %v", cuda.Missing, err)
		}
	}

	// A device says the same, and takes what a session takes.
	d, derr := OpenDeviceBytes(embedModel().bytes(), Options{Device: "cuda"})
	if derr == nil {
		defer d.Close()
	}
	if (derr == nil) != (err == nil) || derr != nil && derr.Error() != err.Error() {
		t.Errorf("a device says %v, a session %v", derr, err)
	}
	either := onDevice(t, embedModel(), Options{Device: "auto"})
	if (either.Device() == "cuda") != (derr == nil) || (either.NoCUDA() == nil) != (derr == nil) {
		t.Errorf("auto took %s because of %v; cuda itself says %v", either.Device(), either.NoCUDA(), derr)
	}

	auto := session(t, embedModel(), Options{Device: "auto"})
	switch auto.Device() {
	case "cuda":
		if err != nil || auto.NoCUDA() != nil {
			t.Errorf("auto took cuda: %v, %v", err, auto.NoCUDA())
		}
	case "cpu":
		if err == nil || auto.NoCUDA() == nil || !strings.Contains(err.Error(), auto.NoCUDA().Error()) {
			t.Errorf("auto took the cpu because of %v; cuda itself says %v", auto.NoCUDA(), err)
		}
	default:
		t.Errorf("device %q", auto.Device())
	}
	out, err := auto.Run(tensors{"ids": format.FromInt64s("", []int{1, 1}, []int64{1})})
	if err != nil {
		t.Fatal(err)
	}
	if got := float32s(t, out["rows"]); got[0] != 10 || got[1] != 11 {
		t.Errorf("row 1 is %v", got)
	}
}

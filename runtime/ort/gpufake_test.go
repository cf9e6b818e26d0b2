//go:build cgo && linux

package ort

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// fakeDriver stands in for NVIDIA's library: the GPU's memory is the
// processor's, nothing works outside the context, and what is written is there
// once it was waited for. A copy that has not waited for the work before it is
// refused. Device 1 breaks: its copies are CUDA's failure 700.
const fakeDriver = `
#include <string.h>
static int depth, broken, waited; static void *to; static const void *from; static size_t left;
int cuInit(unsigned f) { return f; }
int cuDeviceGet(int *d, int n) { *d = n; return n > 1 ? 101 : 0; }
int cuDevicePrimaryCtxRetain(void **c, int d) { *c = &depth; broken = d; return 0; }
int cuDevicePrimaryCtxRelease_v2(int d) { return d - broken; }
int cuCtxPushCurrent_v2(void *c) { if (c != &depth) return 201; depth++; waited = 0; return 0; }
int cuCtxPopCurrent_v2(void **c) { if (depth != 1) return 201; *c = &depth; depth--; return 0; }
int cuCtxSynchronize(void) { if (depth != 1) return 201; memcpy(to, from, left); left = 0; waited = 1; return 0; }
int cuMemcpyHtoD_v2(unsigned long long t, const void *f, size_t n) { if (depth != 1 || !waited) return 201; to = (void *)t, from = f, left = n; return broken ? 700 : 0; }
int cuMemcpyDtoH_v2(void *t, unsigned long long f, size_t n) { if (depth != 1 || !waited) return 201; memcpy(t, (void *)f, n); return broken ? 700 : 0; }
int cuMemsetD8_v2(unsigned long long t, unsigned char c, size_t n) { if (depth != 1 || !waited) return 201; memset((void *)t, c, n); return 0; }
int cuGetErrorString(int r, const char **s) { *s = r == 700 ? "an illegal memory access was encountered" : r == 101 ? "invalid device ordinal" : "invalid device context"; return 0; }
`

// TestGPUCopies copies by a driver that is none, in a process that finds it.
func TestGPUCopies(t *testing.T) {
	const child = "ATTNX_TEST_COPIES"
	if os.Getenv(child) == "" {
		compiler, err := exec.LookPath("cc")
		if err != nil {
			t.Skip(err)
		}
		dir := t.TempDir()
		source := filepath.Join(dir, "cuda.c")
		ok(t, os.WriteFile(source, []byte(fakeDriver), 0o644))
		if out, err := exec.Command(compiler, "-shared", "-fPIC", "-o", filepath.Join(dir, "libcuda.so.1"), source).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestGPUCopies$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1", "LD_LIBRARY_PATH="+dir)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestGPUCopies") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}

	cpu := onDevice(t, identity(protoFloat), Options{})
	memory := alloc(t, cpu, 8).(*memory)
	g, err := openGPU(0)
	ok(t, err)
	got := make([]byte, 4)
	ok(t, g.write(memory.base, []byte{1, 2, 3, 4, 5}))
	if want := []byte{1, 2, 3, 4, 5, 0, 0, 0}; !slices.Equal(memory.Bytes(), want) {
		t.Errorf("%v, want %v", memory.Bytes(), want)
	}
	ok(t, g.zero(memory.base, 2), g.read(got, memory.base))
	if want := []byte{0, 0, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	g.close()

	g, err = openGPU(1)
	ok(t, err)
	var failed *DeviceError
	for _, err := range []error{g.write(memory.base, got), g.read(got, memory.base)} {
		if !errors.As(err, &failed) || failed.Failure != KernelFault || !strings.Contains(failed.Detail, "illegal memory access") {
			t.Errorf("a broken GPU: %v", err)
		}
	}
	if _, err := openGPU(2); !errors.As(err, &failed) || failed.Failure != DeviceLost {
		t.Errorf("a GPU that is not there: %v", err)
	}
}

func TestNoDriver(t *testing.T) {
	known, _ := exec.Command("ldconfig", "-p").Output()
	for _, dir := range filepath.SplitList(os.Getenv("LD_LIBRARY_PATH")) {
		names, _ := filepath.Glob(filepath.Join(dir, "libcuda.so.1"))
		known = append(known, strings.Join(names, " ")...)
	}
	if strings.Contains(string(known), "libcuda.so.1") {
		t.Skip("this machine has a driver")
	}
	var missing *CUDAError
	if _, err := openGPU(0); !errors.As(err, &missing) || missing.Missing != MissingDriver {
		t.Errorf("no driver: %v", err)
	}
}

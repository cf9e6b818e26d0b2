package library

import (
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"testing"

	"github.com/attnx/attnx/runtime/sharedlib"
	"github.com/attnx/attnx/runtime/sharedlib/elftest"
)

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// gpuMachine is a folder with a GPU build for CUDA 13 and a machine that has
// all that it needs.
type gpuMachine struct {
	dir string
	lib Library
	l   loader
	d   driver
}

// needed13 is what the provider of onnxruntime-gpu 1.30.0 for Linux needs, as
// `readelf -d` says, without C's and C++'s libraries but one.
var needed13 = []string{"libcublasLt.so.13", "libcublas.so.13", "libcurand.so.10", "libcudart.so.13", "libcuda.so.1", "libstdc++.so.6"}

func newGPUMachine(t *testing.T) *gpuMachine {
	t.Helper()
	if goruntime.GOOS != "linux" {
		t.Skip("the libraries have the names of Linux")
	}
	m := &gpuMachine{dir: t.TempDir()}
	m.lib = Library{touch(t, m.dir, "ort", "libonnxruntime.so.1"), "cache"}
	elftest.Write(t, m.in("ort"), "libonnxruntime_providers_shared.so", "")
	elftest.Write(t, m.in("ort"), "libonnxruntime_providers_cuda.so", "", needed13...)
	for _, name := range needed13 {
		elftest.Write(t, m.in("cuda"), name, "")
	}
	elftest.Write(t, m.in("cuda"), "libcublas.so.13", "", "libcublasLt.so.13")
	elftest.Write(t, m.in("cuda"), "libcudnn.so.9", "")
	elftest.Write(t, m.in("cuda"), "libcufft.so.12", "")
	m.l = loader{path: []string{m.in("cuda")}, pip: []string{m.in("pip 1", "lib"), m.in("pip 2", "lib")}}
	m.d.library = m.in("cuda", "libcuda.so.1")
	m.d.ask("580.95.05, NVIDIA H100 80GB HBM3, 9.0, 81559 MiB\n")
	return m
}

func (m *gpuMachine) in(names ...string) string {
	return filepath.Join(append([]string{m.dir}, names...)...)
}

// bad returns the checks that are not ok, and demands that each has a remedy.
func (m *gpuMachine) bad(t *testing.T) []Check {
	t.Helper()
	all := diagnoseCUDA(m.lib, func() loader { return m.l }, func(loader) driver { return m.d })
	for _, c := range all {
		if (c.Status == OK) != (c.Remedy == "") || c.Detail == "" || strings.Contains(c.Detail+c.Remedy, "\n") {
			t.Errorf("a check that is not ok has a remedy, every check a detail of one line: %+v", c)
		}
	}
	return slices.DeleteFunc(all, func(c Check) bool { return c.Status == OK })
}

func TestDiagnoseCUDAWhole(t *testing.T) {
	m := newGPUMachine(t)
	if bad := m.bad(t); len(bad) != 0 {
		t.Errorf("nothing is missing, and yet: %+v", bad)
	}
	all := diagnoseCUDA(m.lib, func() loader { return m.l }, func(loader) driver { return m.d })
	var text strings.Builder
	for _, c := range all {
		text.WriteString(c.Name + ": " + c.Detail + "\n")
	}
	for _, want := range []string{
		"made for CUDA 13 and cuDNN 9",
		"libcublas.so.13: " + sharedlib.Real(m.in("cuda", "libcublas.so.13")),
		"libcudnn.so.9: ", "libcufft.so.12: ",
		"nvidia driver: 580.95.05, " + m.d.library + "; CUDA 13 needs 580 or newer",
		"nvidia device: NVIDIA H100 80GB HBM3 (compute capability 9.0, 81559 MiB)",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
	if strings.Contains(text.String(), "libstdc++") {
		t.Errorf("libraries that are no part of CUDA are named though they are there:\n%s", &text)
	}
}

// TestDiagnoseCUDAMissing takes the pieces away one by one: each has a line of
// its own, and no other line is bad.
func TestDiagnoseCUDAMissing(t *testing.T) {
	for _, c := range []struct {
		what   string
		take   func(t *testing.T, m *gpuMachine)
		name   string
		status Status
		detail string
		remedy string
	}{
		{"cublasLt", without("cuda", "libcublasLt.so.13"), "libcublasLt.so.13", NotFound, "libonnxruntime_providers_cuda.so needs it", "pip install 'nvidia-cublas~=13.0'"},
		{"cublas", without("cuda", "libcublas.so.13"), "libcublas.so.13", NotFound, "not found", "pip install 'nvidia-cublas~=13.0'"},
		{"curand", without("cuda", "libcurand.so.10"), "libcurand.so.10", NotFound, "not found", "pip install 'nvidia-curand~=10.0'"},
		{"cudart", without("cuda", "libcudart.so.13"), "libcudart.so.13", NotFound, "not found", "pip install 'nvidia-cuda-runtime~=13.0'"},
		{"cudnn", without("cuda", "libcudnn.so.9"), "libcudnn.so.9", NotFound, "first needs it", "pip install 'nvidia-cudnn-cu13~=9.0'"},
		{"cufft", without("cuda", "libcufft.so.12"), "libcufft.so.12", NotFound, "first needs it", "pip install 'nvidia-cufft~=12.0'"},
		{"libstdc++", without("cuda", "libstdc++.so.6"), "libstdc++.so.6", NotFound, "not found", "the system's package"},
		{"shared provider", without("ort", "libonnxruntime_providers_shared.so"), "cuda provider library", NotFound, "onnxruntime_providers_shared", "install the GPU build"},
		{"a provider that is none", func(t *testing.T, m *gpuMachine) { touch(t, m.in("ort"), "libonnxruntime_providers_cuda.so") },
			"cuda provider library", Unavailable, "neither ELF nor PE", "install the GPU build"},
		{"another version", func(t *testing.T, m *gpuMachine) {
			without("cuda", "libcudart.so.13")(t, m)
			touch(t, m.in("cuda"), "libcudart.so.12")
			touch(t, m.in("cuda"), "libcudart.so.11.8.89") // a name that no program asks for
		}, "libcudart.so.13", NotFound, "of another version: libcudart.so.12", "pip install"},
		{"a library that is none", func(t *testing.T, m *gpuMachine) { touch(t, m.in("cuda"), "libcurand.so.10") },
			"libcurand.so.10", Unavailable, "neither ELF nor PE", "install it again"},
		{"a need of a need", func(t *testing.T, m *gpuMachine) {
			elftest.Write(t, m.in("cuda"), "libcublas.so.13", "", "libcublasLt.so.13", "libnvJitLink.so.13")
		}, "libnvJitLink.so.13", NotFound, "libcublas.so.13 needs it", "the system's package"},
		{"pip's folders", func(t *testing.T, m *gpuMachine) {
			without("cuda", "libcublas.so.13")(t, m)
			without("cuda", "libcudnn.so.9")(t, m)
			elftest.Write(t, m.in("pip 1", "lib"), "libcublas.so.13", "", "libcublasLt.so.13")
			elftest.Write(t, m.in("pip 2", "lib"), "libcudnn.so.9", "")
		}, "cuda library path", Unavailable, "libcublas.so.13, libcudnn.so.9", "export LD_LIBRARY_PATH='DIR/pip 1/lib:DIR/pip 2/lib'${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"},
		{"driver's library", func(t *testing.T, m *gpuMachine) { without("cuda", "libcuda.so.1")(t, m); m.d.library = "" }, "nvidia driver", Unavailable, "the driver is 580.95.05, but libcuda.so.1 is not found", "--gpus all"},
		{"old driver", func(_ *testing.T, m *gpuMachine) { m.d.version = "575.57.08" }, "nvidia driver", Unavailable, "575.57.08, and CUDA 13 needs 580", "driver"},
		{"device", func(_ *testing.T, m *gpuMachine) { m.d.devices = nil }, "nvidia device", NotFound, "no GPU is seen", "nvidia-smi -L"},
		{"hidden device", func(_ *testing.T, m *gpuMachine) { m.d.hidden = true }, "nvidia device", Unavailable, "CUDA_VISIBLE_DEVICES hides NVIDIA H100", "CUDA_VISIBLE_DEVICES"},
		{"driver", func(t *testing.T, m *gpuMachine) {
			without("cuda", "libcuda.so.1")(t, m)
			m.d = driver{devices: m.d.devices}
		}, "nvidia driver", NotFound, "libcuda.so.1 is not found", "driver"},
	} {
		t.Run(c.what, func(t *testing.T) {
			m := newGPUMachine(t)
			c.take(t, m)
			bad := m.bad(t)
			if len(bad) != 1 {
				t.Fatalf("want one line, got %+v", bad)
			}
			if got := bad[0]; got.Name != c.name || got.Status != c.status || !strings.Contains(got.Detail, c.detail) || !strings.Contains(got.Remedy, strings.ReplaceAll(c.remedy, "DIR", m.dir)) {
				t.Errorf("got %+v\nwant %s, %s, ...%s, ...%s", got, c.name, c.status, c.detail, c.remedy)
			}
		})
	}
}

func without(names ...string) func(*testing.T, *gpuMachine) {
	return func(t *testing.T, m *gpuMachine) { remove(t, m.in(names...)) }
}

// TestDiagnoseCPUBuild asks nothing of the machine.
func TestDiagnoseCPUBuild(t *testing.T) {
	lib := Library{Path: touch(t, t.TempDir(), kind.Names[0])}
	checks := diagnoseCUDA(lib, func() loader { t.Error("the loader is asked"); return loader{} }, func(loader) driver { t.Error("the driver is asked"); return driver{} })
	if len(checks) != 0 {
		t.Errorf("of a CPU build: %+v", checks)
	}
}

// TestWanted reads versions off names: those of ONNX Runtime's builds for
// CUDA 13, for CUDA 12 (1.22, whose provider lists cuDNN), and for Windows.
func TestWanted(t *testing.T) {
	for want, needed := range map[string][]string{
		"CUDA 13 and cuDNN 9":        needed13,
		"CUDA 12 and cuDNN 9":        {"libcublasLt.so.12", "libcublas.so.12", "libcudnn.so.9", "libcurand.so.10", "libcufft.so.11", "libcudart.so.12"},
		"CUDA 11 and cuDNN 8":        {"cublas64_11.dll", "cudnn64_8.dll", "cufft64_10.dll"},
		"CUDA 12":                    {"libcudart.so.12"},
		"CUDA of an unknown version": {"libcurand.so.10", "libc.so.6"},
	} {
		if got := wanted(needed).String(); got != want {
			t.Errorf("%v: %s, want %s", needed, got, want)
		}
	}
	if got, want := pipRequirement("libcublasLt.so.12", "12"), "nvidia-cublas-cu12~=12.0"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for v, text := range map[string]string{ // the two forms that drivers since 515 have
		"535.104.05": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version:  gcc version 11.4.0",
		"580.65.06":  "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder)\nGCC version:  gcc version 13.3.0",
	} {
		if got := kernelVersion.FindString(text); got != v {
			t.Errorf("the driver's version is %s, want %s", got, v)
		}
	}
}

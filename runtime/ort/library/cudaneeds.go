package library

import "regexp"

// CUDAVersions are the major versions of NVIDIA's libraries for which a GPU
// build was made, "" if its file does not show them.
type CUDAVersions struct{ CUDA, CUDNN string }

// String is "CUDA 13 and cuDNN 9".
func (v CUDAVersions) String() string {
	text := "CUDA " + v.CUDA
	if v.CUDA == "" {
		text = "CUDA of an unknown version"
	}
	if v.CUDNN != "" {
		text += " and cuDNN " + v.CUDNN
	}
	return text
}

// Needs returns the versions that the CUDA provider in the library's folder
// requires, read from the provider's file. A CPU build has no provider: a
// *CUDAError.
func (l Library) Needs() (CUDAVersions, error) {
	provider := beside(l.Path, cudaProvider)
	if provider == "" {
		return CUDAVersions{}, &CUDAError{MissingProviderLibrary, "no CUDA provider lies beside " + l.Path, remedyBuild}
	}
	in, err := readImports(provider)
	if err != nil {
		return CUDAVersions{}, err
	}
	return wanted(in.needed), nil
}

const cudaProvider, sharedProvider = "onnxruntime_providers_cuda", "onnxruntime_providers_shared"

// cudaName matches file names of CUDA's libraries on Linux and Windows. Its
// groups are the library and its ABI version.
var cudaName = regexp.MustCompile(`^(?:lib)?(cublasLt|cublas|cudart|curand|cufft|cudnn)(?:\.so\.|64_)(\d+)`)

// cudaParts are CUDA's libraries. Some have CUDA's own version number: they
// show which CUDA a program was linked with.
var cudaParts = map[string]struct {
	bearsCUDA bool
	pip       string // PyPI package that contains it, without suffix
}{
	"cublas":   {true, "nvidia-cublas"},
	"cublasLt": {true, "nvidia-cublas"},
	"cudart":   {true, "nvidia-cuda-runtime"},
	"curand":   {false, "nvidia-curand"},
	"cufft":    {false, "nvidia-cufft"},
	"cudnn":    {false, "nvidia-cudnn"},
}

// opened are the libraries that a provider for CUDA 13 opens by name when an
// operator first needs them (cuDNN for convolutions, cuFFT for Fourier
// transforms), so its file does not list them. The code of 1.30.0 and 1.31.1
// builds these names, and the package's metadata require the same versions
// (Requires-Dist: nvidia-cudnn-cu13~=9.0, nvidia-cufft~=12.0).
var opened = map[string][]string{"13": {"libcudnn.so.9", "libcufft.so.12"}}

// wanted derives the versions from the names of needed libraries.
func wanted(needed []string) (v CUDAVersions) {
	for _, name := range needed {
		m := cudaName.FindStringSubmatch(name)
		switch {
		case m == nil:
		case cudaParts[m[1]].bearsCUDA:
			v.CUDA = m[2]
		case m[1] == "cudnn":
			v.CUDNN = m[2]
		}
	}
	if v.CUDNN == "" {
		for _, name := range opened[v.CUDA] {
			if m := cudaName.FindStringSubmatch(name); m[1] == "cudnn" {
				v.CUDNN = m[2]
			}
		}
	}
	return v
}

// pipRequirement returns the pip requirement for a library of CUDA's, "" for
// another library. From CUDA 13 on only cuDNN's package has a suffix. The
// package's version begins with the number in the library's name, as in
// onnxruntime-gpu's metadata.
func pipRequirement(library, cuda string) string {
	m := cudaName.FindStringSubmatch(library)
	if m == nil {
		return ""
	}
	name := cudaParts[m[1]].pip
	if m[1] == "cudnn" || cuda == "11" || cuda == "12" {
		name += "-cu" + cuda
	}
	return name + "~=" + m[2] + ".0"
}

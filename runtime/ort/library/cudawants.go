package library

import "regexp"

// CUDAVersions are the versions of NVIDIA's libraries that a GPU build was
// made for, the first number of each,
// "" where its file does not tell.
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

// Wants returns the versions that the CUDA provider beside the library asks
// for, read from the provider's file. A CPU build has none: a *CUDAError.
func (l Library) Wants() (CUDAVersions, error) {
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

// cudaName matches the file names of CUDA's libraries, on Linux and on
// Windows: what it is, and the version of its interface.
var cudaName = regexp.MustCompile(`^(?:lib)?(cublasLt|cublas|cudart|curand|cufft|cudnn)(?:\.so\.|64_)(\d+)`)

// cudaParts are CUDA's libraries. Those that bear CUDA's own number tell which
// CUDA a program was linked with.
var cudaParts = map[string]struct {
	bearsCUDA bool
	pip       string // the package of PyPI that holds it, without its suffix
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
// transforms), so that its file does not list them: the code of 1.30.0 and
// 1.31.1 puts these names together, and the package's metadata ask for the same
// versions (Requires-Dist: nvidia-cudnn-cu13~=9.0, nvidia-cufft~=12.0).
var opened = map[string][]string{"13": {"libcudnn.so.9", "libcufft.so.12"}}

// wanted returns the versions that the names of needed libraries tell.
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

// pipRequirement returns what pip is asked for to get a library of CUDA's, ""
// for another library. From CUDA 13 on NVIDIA's packages have no suffix, but
// cuDNN's; their versions begin with the number in the library's name, as
// they do in onnxruntime-gpu's metadata.
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

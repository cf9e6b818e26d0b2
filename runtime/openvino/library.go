package openvino

import (
	"context"
	goruntime "runtime"
	"slices"

	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/sharedlib"
)

// Version is the OpenVINO version that Install installs.
const Version = "2026.4.1"

// EnvLibrary is the environment variable that names a library, or its folder.
const EnvLibrary = "ATTNX_OPENVINO_LIB"

// kind is OpenVINO's library.
var kind = newKind()

func newKind() *sharedlib.Kind {
	k := &sharedlib.Kind{
		Title: title, Runtime: name, Folder: "openvino", Version: Version, Symbol: "ov_core_create",
		Oldest: "2025.0", Numbers: []int{2500}, Variables: []string{EnvLibrary},
		Command: runtime.InstallOpenVINO, Naming: "set " + EnvLibrary + " to the path of one",
	}
	k.Names, k.Pattern = sharedlib.NamesOn("openvino_c")
	return k
}

// Find returns the OpenVINO library, without opening it. It searches in this
// order: explicit (a path, which may be empty), ATTNX_OPENVINO_LIB, the user's
// cache, the system's folders. A process that has loaded a library gets that
// one, unless another path is given. Errors are *runtime.UnavailableError.
func Find(explicit string) (sharedlib.Library, error) {
	lib, named, err := search(explicit)
	if held := kind.InUse(); !named && held.Path != "" {
		return held, nil
	}
	return lib, err
}

// search is Find, whatever this process has loaded.
func search(explicit string) (lib sharedlib.Library, named bool, err error) {
	return kind.Find(sharedlib.ThisMachine(), sharedlib.Search{Explicit: explicit, Builds: []sharedlib.Build{build()}})
}

// Install puts OpenVINO, version [Version], into the user's cache and returns its
// library: a download of 30 to 85 MB with pip, 60 to 110 MB installed. See
// sharedlib.Kind.Install.
func Install(ctx context.Context, o sharedlib.InstallOptions) (sharedlib.Library, error) {
	return kind.Install(ctx, build(), o)
}

func build() sharedlib.Build {
	return sharedlib.Build{Name: "CPU", Remedy: runtime.InstallOpenVINO + ", which fetches it again", Bundles: bundles(goruntime.GOOS, goruntime.GOARCH)}
}

// bundles returns the package with the build for a system. Of its libraries it
// takes the C API, the core, the reader of ONNX files, the CPU's plugin, and the
// threads that these use. PyPI has no package of this version for other systems.
func bundles(goos, goarch string) []sharedlib.Bundle {
	switch goos + "/" + goarch {
	case "linux/amd64":
		return wheel("manylinux_2_28_x86_64", 59144434, "6b4375c17ddcac83a5180349e2e2bb811185c261066e2a920659892d58ef0e3b",
			packed("libopenvino_c.so.2641", 377505, "d2d0836d422b21fc5da2739af0d6035df3fc6dd5e4756402eb848974edecf8a5"),
			packed("libopenvino.so.2641", 20526937, "9b9a80ac1f18e07b13ed54459d9a865bcfe9dc170dbf8fe740c2974b85ecedc1"),
			packed("libopenvino_onnx_frontend.so.2641", 6827321, "82d499f5b5e8514def7aaa1ecd5a9f570542d33ae9d00a0077f707cccd0e0192"),
			packed("libopenvino_intel_cpu_plugin.so", 63691929, "6599e3dd300d047b5ed72f8e48101c5f312c25321f35f57f803641ff8372900b"),
			packed("libtbb.so.12", 369313, "ac9518497a4f2cb6729792730f145ee58367316031511923fef263c9ac81ca61"))
	case "linux/arm64":
		return wheel("manylinux_2_35_aarch64", 30332437, "82efccb2f9f1bdc7e5a1996e05a3b719ebff9232dd54b44150d6d2e983a86b7d",
			packed("libopenvino_c.so.2641", 356801, "dfb34063847add4fe0689583633e74b69d7844e9e5a4b085476b0861c0b28f51"),
			packed("libopenvino.so.2641", 17135873, "4a4ce9bb19ab78288b36ff39cbfebf1307c6b1ffda953b0c2b32129a8e89f04a"),
			packed("libopenvino_onnx_frontend.so.2641", 5845145, "2ea8eb7270401e9a1ccf4de9f5fc4bcb3177d00f431a8e9bfa24dfe19b7a4578"),
			packed("libopenvino_arm_cpu_plugin.so", 44571169, "839cb0653151d0962e13a129b7b1ad2ffc700b5a1472e847cdcb83e523cf424e"),
			packed("libtbb.so.12", 274601, "07ad125a3e19dbc40cf74ea6d4bd4c67ad7df5aaff9611178eea99592bc7a921"))
	case "darwin/arm64":
		return wheel("macosx_11_0_arm64", 33341733, "726ac547b8474a5e7b145bc1ae5a8bb6fbcbb60b79bd9a611c67eec2c74b7a5f",
			packed("libopenvino_c.2641.dylib", 422352, "91bbdc63cf27cffb40a049b14d2f66208253b7d36612d9654c72e972aaea8179"),
			packed("libopenvino.2641.dylib", 27115744, "319dad5cce5990d31151e57af87d41f0f099bfd24b87b2409180f0da47aee910"),
			packed("libopenvino_onnx_frontend.2641.dylib", 10079280, "af2f8809719351a0a497e476e067da0e81e84747d7ac918001d815b592770f2c"),
			packed("libopenvino_arm_cpu_plugin.so", 70403408, "9492edf670e0b7828f7bd2438258350c7b83f696b9cded0d8098acc46c1c1f04"),
			packed("libtbb.12.dylib", 354496, "683e0ffc1ea6ee8a5b8549c3dad02451cb5de32864971a206dc8c8373e0255c1"))
	case "windows/amd64":
		return wheel("win_amd64", 84964415, "4e04316abff1b99e29b8cbd38deaef9bde4739eba216d982d4b3981e456ecd87",
			packed("openvino_c.dll", 234248, "72d8efa04b926fb4ce62587458d16a1fc1c75dcb2b717a4ce3e28f40c7ae8b43"),
			packed("openvino.dll", 16485648, "f6a5f2491bcc9eee95e755d29e2adffcdbaeb96d967b047d9426ad0c67bcaacf"),
			packed("openvino_onnx_frontend.dll", 5424904, "305a61060fd64cc3f856e9e81ccc58db821cc6b53d4a94eceb1864c41d5135be"),
			packed("openvino_intel_cpu_plugin.dll", 46305552, "25c34927b266b3cd4630e7febc2736cc0c24976039bbf3e56913fc1598671771"),
			packed("tbb12.dll", 337168, "31561a3582e6d0dc5801d079ec23676414296bfce306f0cc9cffbaceaf61d828"))
	}
	return nil
}

// wheel returns PyPI's package for one platform.
func wheel(platform string, size int64, sha256 string, libraries ...sharedlib.Packed) []sharedlib.Bundle {
	return []sharedlib.Bundle{sharedlib.Wheel("openvino", Version, "openvino-"+Version+"-22982", platform, size, sha256, slices.Clone(libraries)...)}
}

// packed returns one library of the package.
func packed(file string, size int64, sha256 string) sharedlib.Packed {
	return sharedlib.Packed{Member: "openvino/libs/" + file, Size: size, SHA256: sha256}
}

package library

import (
	goruntime "runtime"
	"strings"

	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/sharedlib"
)

// Version is the ONNX Runtime version that Install installs.
const Version = "1.30.0"

// packed describes one library inside a package: its path there, its size and
// its SHA-256.
func packed(member string, size int64, sha256 string) sharedlib.Packed {
	return sharedlib.Packed{Member: member, Size: size, SHA256: sha256}
}

// nodePackage returns the npm package onnxruntime-node, one file for all
// systems. dir is the folder in it for one system. Its install script, which
// would download more, does not run.
func nodePackage(dir string, library sharedlib.Packed) sharedlib.Bundle {
	library.Member = "package/bin/napi-v6/" + dir + "/" + library.Member
	return sharedlib.Bundle{
		Client: "npm",
		Args: []string{"pack", "onnxruntime-node@" + Version, "--ignore-scripts",
			"--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"},
		File:   "onnxruntime-node-" + Version + ".tgz",
		Size:   113507888,
		SHA256: "6e3390d6b783e7be946fad629292799da28d0b42f84856e50d2c1b0383291e75",
		Files:  []sharedlib.Packed{library},
	}
}

// wheel returns a PyPI package, onnxruntime or onnxruntime-gpu, for one
// platform.
func wheel(name, platform string, size int64, sha256 string, libraries ...sharedlib.Packed) sharedlib.Bundle {
	for i := range libraries {
		libraries[i].Member = "onnxruntime/capi/" + libraries[i].Member
	}
	return sharedlib.Wheel(name, Version, strings.ReplaceAll(name, "-", "_")+"-"+Version, platform, size, sha256, libraries...)
}

// cpuBundles returns the packages with the CPU build for a system, in the order
// in which to try them. It returns none for a system without an official build,
// such as macOS on Intel since 1.24.
func cpuBundles(goos, goarch string) []sharedlib.Bundle {
	const so, dylib, dll = "libonnxruntime.so." + Version, "libonnxruntime." + Version + ".dylib", "onnxruntime.dll"
	switch goos + "/" + goarch {
	case "linux/amd64":
		return []sharedlib.Bundle{
			nodePackage("linux/x64", packed("libonnxruntime.so.1", 45828512, "ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23")),
			wheel("onnxruntime", "manylinux_2_28_x86_64", 23585654, "fa688e7891a6aa206636fe7372e27ee75fd17713289f6b4fc7b190e0a7de9328",
				packed(so, 28985152, "c902c70b3003c0e99fada202f37478c515ae9bba7944c2b2abd0017bae0c82ed")),
		}
	case "linux/arm64":
		return []sharedlib.Bundle{
			nodePackage("linux/arm64", packed("libonnxruntime.so.1", 25135496, "1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76")),
			wheel("onnxruntime", "manylinux_2_28_aarch64", 21345202, "6c32a000d5139a38ba9349030b0032e3331acb559d596b22738d9d2b343a2b83",
				packed(so, 25135496, "8a218e1e446880131115c368ec7005969a5022af9a15a26173de648fef0b7789")),
		}
	case "darwin/arm64":
		return []sharedlib.Bundle{
			nodePackage("darwin/arm64", packed(dylib, 44589928, "685d2be5dba1309c89d3a5324b7fd06a5c42f1a61bfea32d14c4cc28d072121d")),
			wheel("onnxruntime", "macosx_14_0_arm64", 21544867, "001ed726c9bd5e2bc92faade7d37d889e9606a350b7d5529f0227df2e3bb57fd",
				packed(dylib, 33209560, "b46713ea6a25a5227541c21001f6422c1ccdeaecc369aa026a61b752520325c3")),
		}
	case "windows/amd64":
		return []sharedlib.Bundle{
			nodePackage("win32/x64", packed(dll, 28754232, "508c362f5673483dd3a086379c392795b2e42d10d5e6f3f90ebd7ac21c97af67")),
			wheel("onnxruntime", "win_amd64", 14311470, "f3501472571f1b1eee50e017851e7929f5ea37312d2d8c2494a19e8fc58b4a38",
				packed(dll, 18446176, "e42c5c917207ff706530315177e39dca2539695a6a8d968a22225e34291b1f12")),
		}
	case "windows/arm64":
		return []sharedlib.Bundle{
			nodePackage("win32/arm64", packed(dll, 29815136, "6c3a2abf5c6aca11c48a0d338a91af309f2266f25ce2e4084e6a87bbcb0fbfd0")),
			wheel("onnxruntime", "win_arm64", 14175072, "dc4c706f1935ebb62356e6a095b047859badd854482c40560888e95c328ed262",
				packed(dll, 18351456, "73f0a1ed25a088da5dbc5f76af9c32f8b7dd88033715078b0c04632a9d11f745")),
		}
	}
	return nil
}

// gpuBundles returns the packages with the GPU build for a system. npm has
// none: its install script would download one.
func gpuBundles(goos, goarch string) []sharedlib.Bundle {
	const name = "onnxruntime-gpu"
	switch goos + "/" + goarch {
	case "linux/amd64":
		return []sharedlib.Bundle{
			wheel(name, "manylinux_2_28_x86_64", 246685715, "6acc0f4b3d5ac5f2984432faa59dd8fcce6775f8b43a7140afa0f322c7a703b1",
				packed("libonnxruntime.so."+Version, 29062976, "5a140dc17c8b60b35b2ceab0bb533e65ac54f06a208948417c1f9c31df6afc4c"),
				packed("libonnxruntime_providers_shared.so", 14632, "086ec1d5388f64153d9c63470d126693db9a182c8ce236d3a1119068471b8a0d"),
				packed("libonnxruntime_providers_cuda.so", 272049904, "35da2e7ed0dd0d1aec5cdb16ce11a51d06c0c48cf62d1b1c9332946a4fae14fc")),
		}
	case "windows/amd64":
		return []sharedlib.Bundle{
			wheel(name, "win_amd64", 160478594, "882da66f936e1f560b155118c5953dc45268cd92893abb8d31a940f4d1effb36",
				packed("onnxruntime.dll", 18036536, "a473c05fb61d5ad61f91b3df8139494af5011e0951213905f9bf3e99ecb53ff4"),
				packed("onnxruntime_providers_shared.dll", 21816, "2b07e5dfa05d4428b67c62281efca8284a5cce2f47b0a6b2506321b706d3e2c3"),
				packed("onnxruntime_providers_cuda.dll", 184764256, "c09f4d3827977f202529ab9b2bcd8e477e094d85b6c472f642e7e107f6800d64")),
		}
	}
	return nil
}

func cpuBuild() sharedlib.Build {
	return sharedlib.Build{Name: "CPU", Remedy: runtime.InstallLibrary + ", which fetches it again", Bundles: cpuBundles(goruntime.GOOS, goruntime.GOARCH)}
}

func gpuBuild() sharedlib.Build {
	return sharedlib.Build{Name: "GPU", Suffix: "-cuda", Remedy: runtime.InstallAgain, Bundles: gpuBundles(goruntime.GOOS, goruntime.GOARCH)}
}

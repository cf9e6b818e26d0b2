package ort

import (
	"path"
	goruntime "runtime"
	"strings"
)

// Version is the ONNX Runtime that Install fetches.
const Version = "1.30.0"

// bundle is one package of a registry that holds a build: what to ask the
// client for, and what its file must be. The client knows where packages come
// from (its own configuration, a company's mirror); this table knows what they are.
type bundle struct {
	client string   // "npm" or "pip"
	args   []string // how the client is asked to put the file into its working folder
	file   string   // the name of the file it leaves there
	size   int64    // bytes of that file
	sha256 string   // of that file

	// members are the libraries inside it. The first is ONNX Runtime, which is
	// installed under its usual name; the others keep their names, by which it
	// opens them.
	members []string
}

// installed returns the names under which the members are installed.
func (b bundle) installed() []string {
	names := []string{libraryNames()[0]}
	for _, m := range b.members[1:] {
		names = append(names, path.Base(m))
	}
	return names
}

// nodePackage returns the npm package onnxruntime-node, one file for all
// systems; dir is the folder inside it for one of them. Its install script,
// which would download more, does not run.
func nodePackage(dir, library string) bundle {
	return bundle{
		client: "npm",
		args: []string{"pack", "onnxruntime-node@" + Version, "--ignore-scripts",
			"--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"},
		file:    "onnxruntime-node-" + Version + ".tgz",
		size:    113507888,
		sha256:  "6e3390d6b783e7be946fad629292799da28d0b42f84856e50d2c1b0383291e75",
		members: []string{"package/bin/napi-v6/" + dir + "/" + library},
	}
}

// wheel returns a PyPI package, onnxruntime or onnxruntime-gpu, for one
// platform. The Python version is named, so that one pinned file serves
// whatever Python is here: only the libraries inside are wanted, and they are
// the same for all of them.
func wheel(name, platform string, size int64, sha256 string, libraries ...string) bundle {
	members := make([]string, len(libraries))
	for i, library := range libraries {
		members[i] = "onnxruntime/capi/" + library
	}
	return bundle{
		client: "pip",
		args: []string{"download", name + "==" + Version, "--no-deps", "--only-binary=:all:",
			"--python-version", "3.12", "--implementation", "cp", "--abi", "cp312", "--platform", platform,
			"--no-input", "--disable-pip-version-check", "--progress-bar", "off", "--quiet"},
		file:    strings.ReplaceAll(name, "-", "_") + "-" + Version + "-cp312-cp312-" + platform + ".whl",
		size:    size,
		sha256:  sha256,
		members: members,
	}
}

// cpuBundles returns the packages that hold the CPU build for a system, in the
// order they are tried; none for a system without an official build (macOS on
// Intel among them, since 1.24).
func cpuBundles(goos, goarch string) []bundle {
	const so, dylib, dll = "libonnxruntime.so." + Version, "libonnxruntime." + Version + ".dylib", "onnxruntime.dll"
	switch goos + "/" + goarch {
	case "linux/amd64":
		return []bundle{
			nodePackage("linux/x64", "libonnxruntime.so.1"),
			wheel("onnxruntime", "manylinux_2_28_x86_64", 23585654, "fa688e7891a6aa206636fe7372e27ee75fd17713289f6b4fc7b190e0a7de9328", so),
		}
	case "linux/arm64":
		return []bundle{
			nodePackage("linux/arm64", "libonnxruntime.so.1"),
			wheel("onnxruntime", "manylinux_2_28_aarch64", 21345202, "6c32a000d5139a38ba9349030b0032e3331acb559d596b22738d9d2b343a2b83", so),
		}
	case "darwin/arm64":
		return []bundle{
			nodePackage("darwin/arm64", dylib),
			wheel("onnxruntime", "macosx_14_0_arm64", 21544867, "001ed726c9bd5e2bc92faade7d37d889e9606a350b7d5529f0227df2e3bb57fd", dylib),
		}
	case "windows/amd64":
		return []bundle{
			nodePackage("win32/x64", dll),
			wheel("onnxruntime", "win_amd64", 14311470, "f3501472571f1b1eee50e017851e7929f5ea37312d2d8c2494a19e8fc58b4a38", dll),
		}
	case "windows/arm64":
		return []bundle{
			nodePackage("win32/arm64", dll),
			wheel("onnxruntime", "win_arm64", 14175072, "dc4c706f1935ebb62356e6a095b047859badd854482c40560888e95c328ed262", dll),
		}
	}
	return nil
}

// gpuBundles returns the packages that hold the GPU build for a system. npm's
// package has none: its install script would fetch one.
func gpuBundles(goos, goarch string) []bundle {
	const name = "onnxruntime-gpu"
	switch goos + "/" + goarch {
	case "linux/amd64":
		return []bundle{
			wheel(name, "manylinux_2_28_x86_64", 246685715, "6acc0f4b3d5ac5f2984432faa59dd8fcce6775f8b43a7140afa0f322c7a703b1",
				"libonnxruntime.so."+Version, "libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"),
		}
	case "windows/amd64":
		return []bundle{
			wheel(name, "win_amd64", 160478594, "882da66f936e1f560b155118c5953dc45268cd92893abb8d31a940f4d1effb36",
				"onnxruntime.dll", "onnxruntime_providers_shared.dll", "onnxruntime_providers_cuda.dll"),
		}
	}
	return nil
}

// build is one of the two builds of ONNX Runtime that Install knows.
type build struct {
	name    string // for people
	suffix  string // of its folder in the cache, beside the other's
	bundles []bundle
}

func cpuBuild() build {
	return build{"CPU", "", cpuBundles(goruntime.GOOS, goruntime.GOARCH)}
}

func gpuBuild() build {
	return build{"GPU", "-cuda", gpuBundles(goruntime.GOOS, goruntime.GOARCH)}
}

// files returns the names of the files that the build's folder holds.
func (b build) files() []string {
	if len(b.bundles) == 0 {
		return libraryNames()[:1]
	}
	return b.bundles[0].installed()
}

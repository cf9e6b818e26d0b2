package library

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/attnx/attnx/runtime"
	"github.com/attnx/attnx/runtime/sharedlib"
)

// webKind is ONNX Runtime for browsers: JavaScript and WebAssembly, the same files
// for every system. It is installed as libraries are, and never loaded.
var webKind = &sharedlib.Kind{
	Title: "ONNX Runtime Web", Runtime: "ort-web", Folder: "onnxruntime-web", Version: Version,
	Names: []string{"ort.wasm.min.mjs"}, Oldest: Version, Command: runtime.InstallLibrary, Naming: "name the folder of the npm package onnxruntime-web " + Version,
}

// webBuild has two forms: the first three files compute with WebAssembly alone, the
// others with WebGPU too.
func webBuild() sharedlib.Build {
	in := func(name string, size int64, sha256 string) sharedlib.Packed {
		return packed("package/dist/"+name, size, sha256)
	}
	return sharedlib.Build{Name: "browser", Bundles: []sharedlib.Bundle{{
		Client: "npm",
		Args: []string{"pack", "onnxruntime-web@" + Version, "--ignore-scripts",
			"--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error"},
		File:   "onnxruntime-web-" + Version + ".tgz",
		Size:   33106585,
		SHA256: "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71",
		Files: []sharedlib.Packed{
			in("ort.wasm.min.mjs", 50126, "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b"),
			in("ort-wasm-simd-threaded.mjs", 24381, "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b"),
			in("ort-wasm-simd-threaded.wasm", 14239897, "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"),
			in("ort.webgpu.min.mjs", 66349, "3dffff71811bc13a3a3d9591c57ca5ee5735b8f5f3eaf789510b02bb040ae3a0"),
			in("ort-wasm-simd-threaded.asyncify.mjs", 53057, "3d1c85995364bb643302fc6fd877a0c3ba5ae72401815e0f24828a53d9191e28"),
			in("ort-wasm-simd-threaded.asyncify.wasm", 26781914, "39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da"),
		},
	}}}
}

// Web returns the paths of the files of ONNX Runtime for browsers, version Version.
// They are in the folder of the npm package onnxruntime-web if one is named, and are
// otherwise fetched into the user's cache with npm. Files whose SHA-256 is not the
// pinned one are refused. progress may be nil; see sharedlib.InstallOptions.
func Web(ctx context.Context, folder string, progress func(done, total int64)) ([]string, error) {
	b := webBuild()
	if folder != "" {
		if dist := filepath.Join(folder, "dist"); isFolder(dist) {
			folder = dist
		}
		for _, f := range b.Bundles[0].Files {
			if err := sharedlib.Matches(filepath.Join(folder, path.Base(f.Member)), f); err != nil {
				if errors.Is(err, fs.ErrNotExist) {
					err = fmt.Errorf("%s has no %s", folder, path.Base(f.Member))
				}
				return nil, fmt.Errorf("%w: name the folder of the npm package onnxruntime-web %s, or leave it out", err, Version)
			}
		}
	} else {
		lib, err := webKind.Install(ctx, b, sharedlib.InstallOptions{Progress: progress})
		if err != nil {
			return nil, err
		}
		folder = filepath.Dir(lib.Path)
	}
	var files []string
	for _, f := range b.Bundles[0].Files {
		files = append(files, filepath.Join(folder, path.Base(f.Member)))
	}
	return files, nil
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

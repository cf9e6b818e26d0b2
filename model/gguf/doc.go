// Package gguf reads models from llama.cpp's GGUF files as checkpoints. The
// result computes what llama.cpp computes: where a file says less than a folder
// of transformers, its defaults are llama.cpp's. The activation of GPT-NeoX is the
// models' own: see its row.
//
// Weights are read as float32, whatever their type in the file. A setting or a
// tensor that is not understood is refused by name. The tokenizer in the metadata
// becomes a tokenizer.json with the same ids.
package gguf

// Package huggingface turns Hugging Face's folders of GPT-2 models into
// checkpoints, and checkpoints into such folders.
//
// A folder is what save_pretrained of the library transformers writes:
//
//	config.json                   the sizes of the network
//	model.safetensors             its weights in one file, or
//	model.safetensors.index.json  the names of weights, each with the file of
//	                              the folder that holds it
//	tokenizer.json                how text becomes ids; may be missing
//	generation_config.json        the ids that end, begin and pad texts, above
//	                              those of config.json; may be missing
//	tokenizer_config.json         the tokens for the same purposes, and
//	special_tokens_map.json       above them, in older folders; may be missing
//
// Nothing else in a folder is opened. Weights have the same names and layouts
// [in, out] on both sides, and none is transposed: those of transformers begin
// with "transformer." where the head belongs to the file, and are accepted
// without that, or behind any other object that held the network. What training
// code puts into names (module., _orig_mod.) is left out. The head is the token embedding: a file may have either or both.
//
// # What is refused
//
// Folders come from strangers. JSON must be strict (a name used twice is
// an error) and files no larger than a bound; the files of an index must be
// regular ones of the folder itself; no weight is read before all of them have
// the shapes that config.json asks for. A configuration that makes another
// network than package model's GPT-2 (another activation, a head of its own,
// cross attention) is refused by the name of the member that says so.
//
// Symbolic links are refused, except those of a snapshot in Hugging Face's cache
// to the blobs beside it.
package huggingface

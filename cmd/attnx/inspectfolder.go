package main

import (
	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model/huggingface"
)

// inspectFolder looks at the weights of a Hugging Face folder, in one file or
// in shards, of whatever network they are.
func inspectFolder(folder string) (x inspection, err error) {
	opened, err := huggingface.Open(folder)
	if err != nil {
		return x, err
	}
	defer opened.Close()
	x = inspection{File: folder, Kind: "huggingface", Metadata: map[string]string{}, Notes: opened.Notes}
	for _, f := range opened.Files {
		x.Bytes += f.Size()
		x.weights(f)
	}
	refused := opened.Refused
	if refused == nil {
		var note string
		if note, refused = find.AboutTokenizer(folder, opened.Model); note != "" {
			x.Notes = append(x.Notes, note)
		}
	}
	if refused != nil {
		x.Refused = oneLine(refused.Error())
	}
	x.Sealed, x.Root, x.ContentID = false, "", "" // a seal is of one file
	return x, nil
}

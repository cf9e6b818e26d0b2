package main

import (
	"github.com/attnx/attnx/format"
	"github.com/attnx/attnx/model/huggingface"
)

// inspectFolder looks at the weights of a Hugging Face folder, in one file or
// in shards, of whatever network they are.
func inspectFolder(folder string) (x inspection, err error) {
	files, refused, err := huggingface.Open(folder)
	defer closeFiles(files)
	if err != nil {
		return x, err
	}
	x = inspection{File: folder, Kind: "huggingface", Metadata: map[string]string{}}
	for _, f := range files {
		x.Bytes += f.Size()
		x.weights(f)
	}
	if refused != nil {
		x.Refused = oneLine(refused.Error())
	}
	x.Sealed, x.Root, x.ContentID = false, "", "" // a seal is of one file
	return x, nil
}

func closeFiles(files []*format.File) {
	for _, f := range files {
		f.Close()
	}
}

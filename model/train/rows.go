package train

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/attnx/attnx/format/store"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/role"
)

// Rows says how another program finds the training examples of texts in the files
// that Data.Files writes. An example is a row of a batch.
type Rows struct {
	Context  int `json:"context"`          // ids of a row; shorter examples are padded on the right
	Examples int `json:"examples"`         // of the training part
	Stride   int `json:"stride,omitempty"` // windows of one text: ids from one to the next; 0: the examples are apart
}

// Names of the files of Data.Files, all little-endian. Example i of windows is the
// ids from i·Stride on, and its labels are those one further. Examples apart lie one
// after the other, and each has a label for each id.
const (
	IDsName    = "ids.bin"    // int32
	LabelsName = "labels.bin" // int32, model.IgnoreIndex where nothing is learned; of examples apart
	EndsName   = "ends.bin"   // int64, where each ends among the ids; of examples apart
)

// Files returns the files of the training examples, for another program that trains
// with the same settings. Only examples of tokens and their labels can be written so.
func (d *Data) Files(o Options) (Rows, []store.File, error) {
	if kinds := d.room(1); d.context == 0 || len(kinds) != 2 || kinds[role.Tokens].Shape == nil {
		return Rows{}, nil, fmt.Errorf("train: the examples are not texts of one model: only tokens and their labels can be written for another program")
	}
	s := d.train
	if o.Epochs > 0 {
		s = inEpochs(s)
	}
	rows := Rows{Context: d.context, Examples: s.len()}
	if w, ok := s.(window); ok {
		rows.Stride = w.stride
		return rows, []store.File{{Name: IDsName, Write: func(to io.Writer) error { return w.write(to) }}}, d.err()
	}
	write := func(row func(ids, labels []int64, to io.Writer) error) func(io.Writer) error {
		return func(to io.Writer) error {
			buffer := bufio.NewWriterSize(to, 1<<16)
			b := d.room(1)
			for i := range s.len() {
				s.fill(i, b, 0)
				ids, labels := textRow(b, 0)
				n := len(labels)
				for n > 0 && labels[n-1] == model.IgnoreIndex { // nothing after the last label is seen from before it
					n--
				}
				if err := row(ids[:n], labels[:n], buffer); err != nil {
					return err
				}
			}
			if err := buffer.Flush(); err != nil {
				return err
			}
			return d.err()
		}
	}
	ends := int64(0)
	return rows, []store.File{
		{Name: IDsName, Write: write(func(ids, _ []int64, to io.Writer) error { return writeInt32s(to, ids) })},
		{Name: LabelsName, Write: write(func(_, labels []int64, to io.Writer) error { return writeInt32s(to, labels) })},
		{Name: EndsName, Write: write(func(ids, _ []int64, to io.Writer) error {
			ends += int64(len(ids))
			return binary.Write(to, binary.LittleEndian, ends)
		})},
	}, d.err()
}

// write writes the ids of all windows.
func (w window) write(to io.Writer) error {
	ids := make([]int64, 1<<16)
	for at := w.from; at < w.to; at += len(ids) {
		ids = ids[:min(len(ids), w.to-at)]
		w.ids.read(at, ids)
		if err := writeInt32s(to, ids); err != nil {
			return err
		}
	}
	return nil
}

func writeInt32s(to io.Writer, x []int64) error {
	b := make([]byte, 0, 4*len(x))
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, uint32(int32(v)))
	}
	_, err := to.Write(b)
	return err
}

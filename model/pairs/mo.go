package pairs

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// moMagic begins a compiled catalogue, in the order of bytes of the machine that wrote
// it.
const moMagic = 0x950412de

// makeAgain is what to do about a compiled catalogue that is none, or no longer whole.
const makeAgain = "make it again with msgfmt, or fetch it again"

// readMO reads a catalogue as programs read it (GNU gettext, "The Format of GNU MO
// Files"). It holds no comments, so nothing in it is fuzzy. Texts are cut out of the
// file: nothing is allocated that is not there.
func readMO(c *collector, data []byte) error {
	if len(data) < 28 {
		return c.fail(0, fmt.Sprintf("%d bytes are no compiled catalogue", len(data)), makeAgain)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if order.Uint32(data) != moMagic {
		order = binary.BigEndian
	}
	if order.Uint32(data) != moMagic {
		return c.fail(0, "it does not begin as a compiled catalogue of gettext", makeAgain)
	}
	if major := order.Uint32(data[4:]) >> 16; major > 1 {
		return c.fail(0, fmt.Sprintf("it is a compiled catalogue of version %d, known are 0 and 1", major), makeAgain)
	}
	size := uint64(len(data))
	count, ids, texts := uint64(order.Uint32(data[8:])), uint64(order.Uint32(data[12:])), uint64(order.Uint32(data[16:]))
	if ids > size || texts > size || count > (size-ids)/8 || count > (size-texts)/8 {
		return c.fail(0, fmt.Sprintf("its tables of %d messages are outside its %d bytes", count, size), makeAgain)
	}
	read := func(table, i uint64) (string, bool) {
		n, at := uint64(order.Uint32(data[table+8*i:])), uint64(order.Uint32(data[table+8*i+4:]))
		if at > size || n > size-at {
			return "", false
		}
		return string(data[at : at+n]), true
	}
	for i := range count {
		id, ok := read(ids, i)
		text, also := read(texts, i)
		if !ok || !also {
			return c.fail(0, fmt.Sprintf("message %d of %d is outside its %d bytes", i+1, count, size), makeAgain)
		}
		m := message{}
		if context, rest, ok := strings.Cut(id, "\x04"); ok {
			m.context, m.hasContext, id = context, true, rest
		}
		m.id, m.plural, m.isPlural = strings.Cut(id, "\x00")
		if m.forms = []string{text}; m.isPlural {
			m.forms = strings.SplitN(text, "\x00", maxForms)
		}
		if err := c.translated(m); err != nil {
			return err
		}
	}
	return nil
}

package pairs

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// message is a message of a catalogue.
type message struct {
	context, id, plural  string
	hasContext, isPlural bool
	forms                []string // translations, by the number of the form
	fuzzy                bool
}

// maxForms bounds the number of forms for numbers: Arabic has six.
const maxForms = 16

// readPO reads a catalogue as translators write it (GNU gettext, "The Format of PO
// Files").
func readPO(c *collector, data []byte) error {
	text := strings.TrimPrefix(string(data), "\ufeff")
	p := poReader{collector: c}
	n := 0
	for line := range strings.Lines(text) {
		n++
		if err := p.line(n, strings.TrimSpace(line)); err != nil {
			return err
		}
	}
	return p.flush(n)
}

// checkCatalogue is what to do about a catalogue that is not well formed.
const checkCatalogue = "msgfmt --check says what else is wrong with it"

// poReader is the state between two lines.
type poReader struct {
	*collector
	message
	begun bool      // the message has an id
	texts [][]byte  // those of the message: bytes, because a text may have many lines
	into  []*string // where each of them goes when the message ends; form i has none
}

func (p *poReader) line(n int, line string) error {
	switch {
	case line == "":
		return nil
	case strings.HasPrefix(line, "#"):
		return p.comment(n, line)
	case line[0] == '"':
		if len(p.texts) == 0 {
			return p.fail(n, "a text that belongs to nothing", checkCatalogue)
		}
		return p.text(n, line)
	}
	word, rest := line, ""
	if i := strings.IndexAny(line, " \t\""); i >= 0 {
		word, rest = line[:i], strings.TrimSpace(line[i:])
	}
	var into *string
	switch {
	case word == "domain":
		return p.next(n)
	case word == "msgctxt":
		if err := p.next(n); err != nil {
			return err
		}
		p.hasContext, into = true, &p.context
	case word == "msgid":
		if p.begun {
			if err := p.next(n); err != nil {
				return err
			}
		}
		p.begun, into = true, &p.id
	case word == "msgid_plural" && p.begun:
		p.isPlural, into = true, &p.plural
	case word == "msgstr" && p.begun && len(p.forms) == 0:
		p.forms = append(p.forms, "")
	case strings.HasPrefix(word, "msgstr[") && strings.HasSuffix(word, "]") && p.begun:
		i, err := strconv.Atoi(word[len("msgstr[") : len(word)-1])
		if err != nil || i != len(p.forms) || i >= maxForms {
			return p.fail(n, fmt.Sprintf("%.20q: expected msgstr[%d]", word, len(p.forms)), checkCatalogue)
		}
		p.forms = append(p.forms, "")
	default:
		return p.fail(n, fmt.Sprintf("%.40q is no part of a message here", word), checkCatalogue)
	}
	p.texts, p.into = append(p.texts, nil), append(p.into, into)
	return p.text(n, rest)
}

// comment reads the flags of the message that follows.
func (p *poReader) comment(n int, line string) error {
	if old, ok := strings.CutPrefix(line, "#~"); ok {
		old = strings.TrimSpace(strings.TrimPrefix(old, "|"))
		if strings.HasPrefix(old, "msgid") && !strings.HasPrefix(old, "msgid_plural") {
			p.Obsolete++
		}
		return p.next(n)
	}
	if p.begun && len(p.forms) > 0 { // it belongs to the next message
		if err := p.next(n); err != nil {
			return err
		}
	}
	if flags, ok := strings.CutPrefix(line, "#,"); ok {
		for flag := range strings.SplitSeq(flags, ",") {
			p.fuzzy = p.fuzzy || strings.TrimSpace(flag) == "fuzzy"
		}
	}
	return nil
}

// text adds a quoted text to the one that is read.
func (p *poReader) text(n int, line string) error {
	s, ok := unquote(line)
	if !ok {
		return p.fail(n, fmt.Sprintf("%.60q is no text in quotation marks", line), checkCatalogue)
	}
	last := len(p.texts) - 1
	p.texts[last] = append(p.texts[last], s...)
	return nil
}

// next ends a message that has begun.
func (p *poReader) next(n int) error {
	if !p.begun {
		p.texts, p.into = nil, nil
		return nil
	}
	return p.flush(n)
}

func (p *poReader) flush(n int) error {
	if p.begun && len(p.forms) == 0 {
		return p.fail(n, "the message before it has no msgstr", checkCatalogue)
	}
	form := 0
	for i, text := range p.texts {
		if into := p.into[i]; into != nil {
			*into = string(text)
		} else {
			p.forms[form] = string(text)
			form++
		}
	}
	m, begun := p.message, p.begun
	p.message, p.begun, p.texts, p.into = message{}, false, nil, nil
	if !begun {
		return nil
	}
	return p.translated(m)
}

// translated adds the pairs of a message, or checks the header.
func (c *collector) translated(m message) error {
	switch {
	case m.id == "" && !m.hasContext:
		return c.header(m.forms[0])
	case m.fuzzy:
		c.Fuzzy++
		return nil
	}
	type form struct{ source, target string }
	if c.latin != nil {
		m.id, m.plural = c.latin.Replace(latin1(m.id)), c.latin.Replace(latin1(m.plural))
		for i, text := range m.forms {
			m.forms[i] = c.latin.Replace(latin1(text))
		}
	}
	forms := []form{{m.id, m.forms[0]}}
	if m.isPlural { // the form for one comes first, that for many last; some languages have one for all
		last := m.forms[len(m.forms)-1]
		if forms = append(forms, form{m.plural, last}); len(m.forms) == 1 {
			forms = forms[1:]
		}
	}
	for _, f := range forms {
		if !utf8.ValidString(f.source) || !utf8.ValidString(f.target) {
			return c.fail(0, fmt.Sprintf("the message %.40q is not UTF-8", m.id), convertCatalogue)
		}
		if c.add(f.source, f.target) {
			if m.hasContext {
				c.Contexts++
			}
			if m.isPlural {
				c.Plurals++
			}
		}
	}
	return nil
}

// latin1 converts a text from ISO 8859-1, in which a byte is a character.
func latin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

// latin9 replaces the characters that ISO 8859-15 has others for.
var latin9 = strings.NewReplacer("¤", "€", "¦", "Š", "¨", "š", "´", "Ž", "¸", "ž", "¼", "Œ", "½", "œ", "¾", "Ÿ")

// convertCatalogue is the remedy for a catalogue in another encoding.
const convertCatalogue = "convert it with msgconv -t UTF-8"

// header checks the encoding of a catalogue.
func (c *collector) header(text string) error {
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		if !strings.EqualFold(name, "Content-Type") {
			continue
		}
		_, charset, ok := strings.Cut(strings.ToLower(value), "charset=")
		charset = strings.TrimSpace(charset)
		switch charset {
		case "utf-8", "utf8", "us-ascii", "ascii", "charset": // the last is what a template has
		case "iso-8859-1", "iso-8859-15":
			if c.latin = strings.NewReplacer(); charset == "iso-8859-15" {
				c.latin = latin9
			}
		default:
			if ok {
				return c.fail(0, fmt.Sprintf("its encoding is %.40q", charset), convertCatalogue)
			}
		}
	}
	return nil
}

// escapes are the escapes of one character in a text of a catalogue.
var escapes = map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 'a': '\a', 'b': '\b', 'f': '\f', 'v': '\v', '"': '"', '\\': '\\', '\'': '\'', '?': '?'}

// unquote returns the text in quotation marks, with C's escapes.
func unquote(s string) (string, bool) {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return "", false
	}
	s = s[1 : len(s)-1]
	if !strings.ContainsAny(s, `\"`) {
		return s, true
	}
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return "", false
		case s[i] != '\\':
			out.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			return "", false
		}
		if e, ok := escapes[s[i]]; ok {
			out.WriteByte(e)
			continue
		}
		digits, base := 0, 8
		if s[i] == 'x' {
			i++
			base = 16
		}
		for digits < 3-base/16 && i+digits < len(s) && strings.IndexByte("0123456789abcdefABCDEF"[:map[int]int{8: 8, 16: 22}[base]], s[i+digits]) >= 0 {
			digits++
		}
		n, err := strconv.ParseUint(s[i:i+digits], base, 8)
		if err != nil {
			return "", false
		}
		out.WriteByte(byte(n))
		i += digits - 1
	}
	return out.String(), true
}

package attnx

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/attnx/attnx/internal/find"
	"github.com/attnx/attnx/model"
	"github.com/attnx/attnx/model/jinja"
	"github.com/attnx/attnx/runtime/decode"
)

// Message is a turn of a conversation.
type Message struct {
	Role    string `json:"role"` // "system", "user" or "assistant"
	Content string `json:"content"`
}

// Chat is a conversation with a model. The model keeps what it has computed of the
// turns so far.
type Chat struct {
	Messages []Message // so far

	text     *Text
	template *jinja.Template
	model    decode.Model
}

// Chat starts a conversation in the form of the model's own chat template. system
// is what the model is told first; empty: what the template says, if anything.
func (t *Text) Chat(system string) (*Chat, error) {
	template := t.Checkpoint.ChatTemplate
	if template == "" {
		return nil, &Error{Err: fmt.Errorf("%s: the model has no chat template", t.Path), Do: ContinueText}
	}
	parsed, err := jinja.Parse(template)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Path, err)
	}
	m, err := t.Logits(1)
	if err != nil {
		return nil, err
	}
	c := &Chat{text: t, template: parsed, model: decode.Continued(m)}
	if system != "" {
		c.Messages = append(c.Messages, Message{"system", system})
	}
	return c, nil
}

// Render returns the text of messages in a model's chat template, as transformers'
// apply_chat_template does. With answer set, an answer of the model comes next.
func Render(template string, messages []Message, special model.SpecialTokens, answer bool) (string, error) {
	t, err := jinja.Parse(template)
	if err != nil {
		return "", err
	}
	return render(t, messages, special, answer)
}

func render(t *jinja.Template, messages []Message, special model.SpecialTokens, answer bool) (string, error) {
	list := &jinja.List{}
	for _, m := range messages {
		list.Items = append(list.Items, jinja.NewDict("role", m.Role, "content", m.Content))
	}
	values := map[string]jinja.Value{"messages": list, "add_generation_prompt": answer, "tools": nil, "documents": nil}
	for name, token := range map[string]string{"bos_token": special.Begin, "eos_token": special.End, "pad_token": special.Pad, "unk_token": special.Unknown} {
		if token != "" {
			values[name] = token
		}
	}
	return t.Run(values)
}

// Say adds a message of the user and returns the model's answer, which is a part of
// the conversation then. The number of its tokens is at most g.MaxTokens, and what
// is left of the context. When the conversation is too long for the model, its
// oldest turns are left out, with a notice. ids are those of the whole conversation.
func (c *Chat) Say(ctx context.Context, text string, g Generation) (answer Generated, ids []int64, err error) {
	c.Messages = append(c.Messages, Message{"user", text})
	if ids, err = c.fit(); err != nil {
		c.Messages = c.Messages[:len(c.Messages)-1]
		return Generated{}, nil, err
	}
	g.Sliding = false
	out, err := c.text.continueIn(ctx, c.model, [][]int64{ids}, g)
	if len(out) > 0 {
		answer = out[0]
		c.Messages = append(c.Messages, Message{"assistant", answer.Text})
	}
	return answer, ids, err
}

// fit returns the ids of the conversation, without the oldest turns that the model
// cannot see.
func (c *Chat) fit() ([]int64, error) {
	left := 0
	for {
		rendered, err := render(c.template, c.Messages, c.text.Special.Tokens, true)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.text.Path, err)
		}
		ids := c.text.Tokenizer.Encode(rendered)
		if err := find.CheckIDs(c.text.Tokenizer, c.text.Checkpoint, "the conversation", ids); err != nil {
			return nil, err
		}
		first := 0
		if len(c.Messages) > 0 && c.Messages[0].Role == "system" {
			first = 1
		}
		switch {
		case len(ids) == 0:
			return nil, fmt.Errorf("%s: the chat template makes no text of the conversation", c.text.Path)
		case c.text.Context == 0 || len(ids) < c.text.Context:
			if left > 0 {
				c.text.tell.Say(find.Notice, "the conversation is longer than the %d tokens that the model sees: its oldest %d messages are left out", c.text.Context, left)
			}
			return ids, nil
		case len(c.Messages) < first+3:
			return nil, fmt.Errorf("the message has %d tokens with its template, the model sees %d: shorten it", len(ids), c.text.Context)
		}
		c.Messages = append(c.Messages[:first:first], c.Messages[first+2:]...)
		left += 2
	}
}

// conversation returns the text of a JSON list of messages in a template, as parts in
// turn: given, and an answer of the assistant. Each part ends where the template's
// text of the messages so far ends.
func conversation(template string, special model.SpecialTokens, list []byte) (parts []string, err error) {
	var messages []Message
	if err := json.Unmarshal(list, &messages); err != nil {
		return nil, fmt.Errorf("its messages are no list of role and content: %w", err)
	}
	t, err := jinja.Parse(template)
	if err != nil {
		return nil, err
	}
	whole, err := render(t, messages, special, false)
	if err != nil {
		return nil, err
	}
	at := 0
	for i, m := range messages {
		if m.Role != "assistant" {
			continue
		}
		given, err := render(t, messages[:i], special, true)
		if err != nil {
			return nil, err
		}
		said, err := render(t, messages[:i+1], special, false)
		if err != nil {
			return nil, err
		}
		if len(given) < at || !strings.HasPrefix(said, given) || !strings.HasPrefix(whole, said) {
			return nil, fmt.Errorf("the template writes message %d in another way once others follow: give each answer a line of its own, with the messages before it", i+1)
		}
		parts = append(parts, whole[at:len(given)], whole[len(given):len(said)])
		at = len(said)
	}
	if len(parts) == 0 {
		return nil, errors.New("its messages have no answer of the assistant: there is nothing to learn")
	}
	if at < len(whole) {
		parts = append(parts, whole[at:])
	}
	return parts, nil
}

package ntlmserver

import (
	"bytes"
	"fmt"
	"slices"
)

// checkTargetInfo compares the AV pairs with the challenge's: what a client may
// only copy must be there, all of it, in order and unchanged.
func (a *attempt) checkTargetInfo() error {
	sent, got := a.challenge.pairs.copied(), a.pairs.copied()
	if !slices.EqualFunc(sent, got, samePair) {
		return fmt.Errorf("%w: sent %d, got %d", ErrTargetInfo, sent.ids(), got.ids())
	}
	if err := a.checkLengths(); err != nil {
		return err
	}
	const mayAdd = AVFlagMIC | 4 // 4: the target name comes from an untrusted source
	was, is := a.challenge.pairs.flags(), a.pairs.flags()
	if is&was != was || is&^(was|mayAdd) != 0 {
		return fmt.Errorf("%w: MsvAvFlags were %#x and are %#x", ErrTargetInfo, was, is)
	}
	return nil
}

func samePair(a, b avPair) bool {
	return a.id == b.id && bytes.Equal(a.value, b.value)
}

// checkLengths examines the pairs that a client adds.
func (a *attempt) checkLengths() error {
	for id, want := range map[uint16]int{AVFlags: 4, AVChannelBindings: 16} {
		if v, ok := a.pairs.get(id); ok && len(v) != want {
			return fmt.Errorf("%w: AV pair %d has %d bytes", ErrTargetInfo, id, len(v))
		}
	}
	name, _ := a.pairs.get(AVTargetName)
	if _, err := decodeUTF16(name); err != nil {
		return fmt.Errorf("%w: target name is not UTF-16", ErrTargetInfo)
	}
	return nil
}

func (a *attempt) checkMIC() error {
	flagged, asked := a.pairs.flags()&AVFlagMIC != 0, a.challenge.pairs.has(AVTimestamp)
	switch {
	case a.seen.MIC:
		return a.compareMIC()
	case flagged:
		return fmt.Errorf("%w: flagged, but no room for it", ErrMICMissing)
	case a.srv.RequireMIC && asked:
		return fmt.Errorf("%w: not flagged", ErrMICMissing)
	case !isZero(a.msg.mic):
		// What is not flagged can be taken out on the way (CVE-2019-1040).
		return fmt.Errorf("%w: present, but not flagged", ErrMIC)
	}
	return nil
}

func (a *attempt) compareMIC() error {
	want := messageMIC(a.exported, a.negotiate, a.challenge.wire, a.msg.wire)
	if !equal(want, a.msg.mic) {
		return ErrMIC
	}
	return nil
}

// checkLM applies MS-NLMP, Section 3.1.5.1.2: no LM response to a challenge with
// a timestamp, otherwise LMv2 with the same client challenge. That a client
// leaves it out all the same is no worse.
func (a *attempt) checkLM() error {
	lm, nonce := a.msg.lm, a.challenge.nonce
	switch {
	case len(lm) == 0, len(lm) == v1Len && isZero(lm):
		return nil
	case a.challenge.pairs.has(AVTimestamp):
		return fmt.Errorf("%w: %d bytes, in spite of a timestamp", ErrLMResponse, len(lm))
	case !equal(lm, lmv2(a.ntowf, nonce, a.blob[16:24])):
		return ErrLMResponse
	}
	return nil
}

// checkChannelBinding compares the binding wherever there is one. Zeros say that
// the client has none (MS-NLMP, Section 3.1.5.1.2).
func (a *attempt) checkChannelBinding() error {
	got, _ := a.pairs.get(AVChannelBindings)
	if a.seen.ChannelBinding != NotEmpty {
		if a.srv.RequireEPA {
			return fmt.Errorf("%w: %v", ErrChannelBindingMissing, a.seen.ChannelBinding)
		}
		return nil
	}
	if a.binding == nil || !equal(got, channelBindingHash(a.binding)) {
		return ErrChannelBinding
	}
	return nil
}

func (a *attempt) checkTargetName() error {
	if check := a.srv.CheckTargetName; check != nil && !check(a.seen.TargetName) {
		return ErrTargetName
	}
	return nil
}

package keyring

import "context"

func (p *Provider) Do(ctx context.Context, f func() error) error { return p.do(ctx, f) }

package boundedfile

import "context"

// Do is Read with another way to read.
func Do(ctx context.Context, name string, read func() error) error {
	_, err := leftBehind.do(ctx, name, func() (*File, error) { return nil, read() })
	return err
}

package krb_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-proxyauth/proxyauth/schemes/negotiate/internal/krb"
)

func TestFlightIsCalledOffWhenNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f krb.Flights
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() {
			synctest.Wait()
			cancel()
		}()
		err := f.Do(ctx, "key", func(ctx context.Context) error {
			<-ctx.Done()
			ended <- ctx.Err()
			return ctx.Err()
		})
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

// Who joins a flight that has been called off gets one of his own.
func TestFlightThatWasCalledOffIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f krb.Flights
		ctx, cancel := context.WithCancel(t.Context())
		land := make(chan struct{})
		go f.Do(ctx, "key", func(context.Context) error {
			<-land
			return errors.New("called off")
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		second := make(chan error)
		go func() { second <- f.Do(t.Context(), "key", func(context.Context) error { return nil }) }()
		synctest.Wait()
		close(land)
		require.NoError(t, <-second)
	})
}

func TestFlightHasALimitOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f krb.Flights
		start := time.Now()
		err := f.Do(t.Context(), "key", func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		})
		require.ErrorIs(t, err, krb.ErrKDCUnreachable)
		require.Equal(t, 30*time.Second, time.Since(start))
	})
}

// What has come too late is still what it is.
func TestFlightBeyondItsLimitKeepsItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f krb.Flights
		err := f.Do(t.Context(), "key", func(ctx context.Context) error {
			<-ctx.Done()
			return krb.ErrPasswordWrong
		})
		require.ErrorIs(t, err, krb.ErrPasswordWrong)
		require.NotErrorIs(t, err, krb.ErrKDCUnreachable)
	})
}

func TestFlightSurvivesAPanic(t *testing.T) {
	var f krb.Flights
	err := f.Do(t.Context(), "key", func(context.Context) error { panic("gokrb5") })
	require.ErrorIs(t, err, krb.ErrMalformedReply)
}

package live

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// The channel that processes of one installation share, and our word on it.
const (
	channel      = "leadline"
	channelEvent = "event"
)

// Pauses around the notification connections.
const (
	notifyEvery    = 20 * time.Millisecond
	reconnectAfter = 500 * time.Millisecond
)

// listen hears of events that other processes committed. A lost connection costs nothing but time: the poll goes on.
func (h *Hub) listen(ctx context.Context) error {
	return h.keepConnected(ctx, "live listener", func(conn *pgx.Conn) error {
		if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		poke(h.wake)
		for {
			n, err := conn.WaitForNotification(ctx)
			if err != nil {
				return fmt.Errorf("wait for a notification: %w", err)
			}
			if n.Payload == channelEvent {
				poke(h.wake)
			}
		}
	})
}

// notify tells other processes of our commits: one notification for all within notifyEvery, on a connection of its own,
// because a notification inside a business transaction would make all of those commit one after another.
func (h *Hub) notify(ctx context.Context) error {
	return h.keepConnected(ctx, "live notifier", func(conn *pgx.Conn) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-h.tell:
			}
			if _, err := conn.Exec(ctx, `SELECT pg_notify($1, $2)`, channel, channelEvent); err != nil {
				poke(h.tell)
				return fmt.Errorf("notify: %w", err)
			}
			pause(ctx, notifyEvery)
		}
	})
}

// keepConnected runs work on a connection of its own, again and again, until ctx ends.
func (h *Hub) keepConnected(ctx context.Context, name string, work func(*pgx.Conn) error) error {
	for ctx.Err() == nil {
		err := h.connected(ctx, name, work)
		if ctx.Err() == nil {
			h.log.Warn("lost a connection of the console stream; connecting again", "connection", name, "error", err)
			pause(ctx, reconnectAfter)
		}
	}
	return nil
}

func (h *Hub) connected(ctx context.Context, name string, work func(*pgx.Conn) error) error {
	conn, err := h.db.Connect(ctx, name)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing)
	}()
	return work(conn)
}

// delayq QUEUE DELAY_MS JITTER_MS LOSS_PERCENT
//
// What netem does, in user space, for kernels without it: takes packets from an NFQUEUE and gives their
// verdict later. Order is kept. Prints "ready" when it holds the queue.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <libnetfilter_queue/libnetfilter_queue.h>

#define QUEUE_PACKETS 65536
#define BURST_PACKETS 256
#define NETLINK_LEVEL 270
#define NETLINK_NO_ENOBUFS_OPTION 5

struct waiting { unsigned id; double due_ms; };

// Due times never go down, so a ring in order of arrival is in order of due time as well.
static struct waiting ring[QUEUE_PACKETS];
static unsigned head, count;
static double delay_ms, jitter_ms, loss_percent, last_due_ms;
static struct nfq_q_handle *queue;

static double now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static int arrive(struct nfq_q_handle *q, struct nfgenmsg *m, struct nfq_data *packet, void *unused) {
  unsigned id = ntohl(nfq_get_msg_packet_hdr(packet)->packet_id);
  (void)m;
  (void)unused;
  if ((loss_percent > 0 && drand48() * 100 < loss_percent) || count == QUEUE_PACKETS) {
    nfq_set_verdict(q, id, NF_DROP, 0, NULL);
    return 0;
  }
  double due_ms = now_ms() + delay_ms + (drand48() * 2 - 1) * jitter_ms;
  if (due_ms < last_due_ms) due_ms = last_due_ms;
  last_due_ms = due_ms;
  ring[(head + count++) % QUEUE_PACKETS] = (struct waiting){id, due_ms};
  return 0;
}

static void release_due(void) {
  double t = now_ms();
  while (count && ring[head].due_ms <= t) {
    nfq_set_verdict(queue, ring[head].id, NF_ACCEPT, 0, NULL);
    head = (head + 1) % QUEUE_PACKETS;
    count--;
  }
}

int main(int argc, char **argv) {
  static char buffer[65536] __attribute__((aligned(8)));
  int buffer_bytes = 8 << 20, on = 1;
  if (argc != 5) return 2;
  delay_ms = atof(argv[2]);
  jitter_ms = atof(argv[3]);
  loss_percent = atof(argv[4]);
  srand48(getpid());

  struct nfq_handle *handle = nfq_open();
  if (!handle) { perror("nfq_open"); return 1; }
  queue = nfq_create_queue(handle, atoi(argv[1]), arrive, NULL);
  if (!queue) { perror("nfq_create_queue"); return 1; }
  nfq_set_mode(queue, NFQNL_COPY_META, 0);
  nfq_set_queue_maxlen(queue, QUEUE_PACKETS);
  nfq_set_queue_flags(queue, NFQA_CFG_F_GSO, NFQA_CFG_F_GSO);
  int fd = nfq_fd(handle);
  setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes);
  setsockopt(fd, NETLINK_LEVEL, NETLINK_NO_ENOBUFS_OPTION, &on, sizeof on);
  puts("ready");
  fflush(stdout);

  for (;;) {
    double wait_ms = count ? ring[head].due_ms - now_ms() : 1000;
    if (wait_ms < 0) wait_ms = 0;
    struct timespec timeout = {(long)(wait_ms / 1000), 0};
    timeout.tv_nsec = (long)((wait_ms - timeout.tv_sec * 1000) * 1e6);
    struct pollfd readable = {fd, POLLIN, 0};
    if (ppoll(&readable, 1, &timeout, NULL) > 0) {
      for (int i = 0; i < BURST_PACKETS; i++) {
        int bytes = recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (bytes <= 0) break;
        nfq_handle_packet(handle, buffer, bytes);
      }
    }
    release_due();
  }
}

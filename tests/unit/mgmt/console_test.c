/* SPDX-License-Identifier: Apache-2.0 */
/* The bridge between a client and a worker's console, over socket pairs. */
#include "case.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/console.h"

#define WORDS_SIZE 60000u /* more than the bridge holds, less than a socket does */

static struct console_set *set;
static int client[2], worker[2]; /* [0]: the test's end, [1]: the bridge's */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
static unsigned ends;
static char words[WORDS_SIZE];

static int begin(void **state)
{
	ends = 0;
	set = console_set_create();
	for (size_t i = 0; i < sizeof(words); i++)
		words[i] = (char)('a' + i % 23);
	return !set || socketpair(AF_UNIX, SOCK_STREAM, 0, client) || socketpair(AF_UNIX, SOCK_STREAM, 0, worker);
}

static int end(void **state)
{
	console_set_close(set);
	console_set_destroy(set);
	close(client[0]);
	return 0;
}

static void done(void *context)
{
	close(client[1]);
	pthread_mutex_lock(&lock);
	ends++;
	pthread_cond_signal(&ended);
	pthread_mutex_unlock(&lock);
}

static void wait_for_the_end(void)
{
	pthread_mutex_lock(&lock);
	while (!ends)
		pthread_cond_wait(&ended, &lock);
	pthread_mutex_unlock(&lock);
	assert_int_equal(ends, 1);
}

/* `reset`: the client's end was closed with something in it. */
static void expect_all_words(bool reset)
{
	static char heard[WORDS_SIZE + 1];
	size_t total = 0;
	ssize_t count;

	while ((count = recv(client[0], heard + total, sizeof(heard) - total, 0)) > 0)
		total += (size_t)count;
	assert_int_equal(count < 0 ? errno : 0, reset ? ECONNRESET : 0);
	assert_int_equal(total, sizeof(words));
	assert_memory_equal(heard, words, sizeof(words));
}

static void bytes_go_both_ways(void **state)
{
	char text[32] = "";

	assert_int_equal(console_bridge(set, client[1], worker[1], "early ", 6, done, NULL), 0);
	assert_int_equal(send(client[0], "late", 4, 0), 4);
	for (size_t got = 0; got < 10;)
		got += (size_t)recv(worker[0], text + got, sizeof(text) - got, 0);
	assert_string_equal(text, "early late");
	assert_int_equal(send(worker[0], words, sizeof(words), 0), sizeof(words));
	close(worker[0]);
	expect_all_words(false);
	wait_for_the_end();
}

/* The worker ends with input unread: its socket is reset, with its last words in it. */
static void last_words_before_a_reset_arrive(void **state)
{
	assert_int_equal(send(worker[1], "unread", 6, 0), 6);
	assert_int_equal(send(worker[0], words, sizeof(words), 0), sizeof(words));
	close(worker[0]);
	assert_int_equal(console_bridge(set, client[1], worker[1], NULL, 0, done, NULL), 0);
	expect_all_words(false);
	wait_for_the_end();
}

static void they_arrive_although_the_client_goes_on_typing(void **state)
{
	assert_int_equal(send(worker[1], "unread", 6, 0), 6);
	assert_int_equal(send(worker[0], words, sizeof(words), 0), sizeof(words));
	close(worker[0]);
	assert_int_equal(send(client[0], "more", 4, 0), 4);
	assert_int_equal(console_bridge(set, client[1], worker[1], "early", 5, done, NULL), 0);
	wait_for_the_end();
	expect_all_words(true);
}

static void a_set_that_is_closed_ends_all_and_takes_no_more(void **state)
{
	int late[2];

	assert_int_equal(console_bridge(set, client[1], worker[1], NULL, 0, done, NULL), 0);
	console_set_close(set);
	wait_for_the_end();
	assert_int_equal(recv(client[0], words, 1, 0), 0);
	assert_int_equal(recv(worker[0], words, 1, 0), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, late), 0);
	assert_int_equal(console_bridge(set, late[0], late[1], NULL, 0, done, NULL), -1);
	close(late[0]);
	close(late[1]);
	close(worker[0]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bytes_go_both_ways, begin, end),
		cmocka_unit_test_setup_teardown(last_words_before_a_reset_arrive, begin, end),
		cmocka_unit_test_setup_teardown(they_arrive_although_the_client_goes_on_typing, begin, end),
		cmocka_unit_test_setup_teardown(a_set_that_is_closed_ends_all_and_takes_no_more, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SERVER_DEFAULT     "http://127.0.0.1:8006"
#define TOKEN_FILE_DEFAULT "/var/lib/undercroft/token"
#define API_SUFFIX         "/api/v2"
#define ANSWER_MAX         (64u * 1024 * 1024)
#define REQUEST_SECONDS    100L
#define UPGRADE_MS         20000

struct answer {
	char *text;
	size_t size;
	long status;
};

void cli_error(const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	fputs("hvsh: ", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

static char *read_token(const char *path)
{
	char line[512];
	FILE *in = fopen(path, "re");

	if (!in) {
		cli_error("The token file %s cannot be read: %s", path, strerror(errno));
		return NULL;
	}
	if (!fgets(line, sizeof(line), in))
		line[0] = 0;
	fclose(in);
	line[strcspn(line, "\r\n")] = 0;
	/* It becomes a header line. */
	for (const char *c = line; *c; c++)
		if (!isgraph((unsigned char)*c))
			line[0] = 0;
	if (!line[0]) {
		cli_error("The token file %s holds no token", path);
		return NULL;
	}
	return strdup(line);
}

int client_open(struct client *client, const char *server, const char *token_file)
{
	size_t size;

	server = server ? server : getenv("UNDERCROFT_API");
	token_file = token_file ? token_file : getenv("UNDERCROFT_TOKEN_FILE");
	memset(client, 0, sizeof(*client));
	client->server = strdup(server && server[0] ? server : SERVER_DEFAULT);
	size = strlen(client->server);
	while (size && client->server[size - 1] == '/')
		client->server[--size] = 0;
	if (size > strlen(API_SUFFIX) && strcmp(client->server + size - strlen(API_SUFFIX), API_SUFFIX) == 0)
		client->server[size - strlen(API_SUFFIX)] = 0;
	client->token = read_token(token_file && token_file[0] ? token_file : TOKEN_FILE_DEFAULT);
	if (!client->token)
		return -1;
	curl_global_init(CURL_GLOBAL_DEFAULT);
	client->curl = curl_easy_init();
	return client->curl ? 0 : -1;
}

void client_close(struct client *client)
{
	if (client->curl) {
		curl_easy_cleanup(client->curl);
		curl_global_cleanup();
	}
	free(client->server);
	free(client->token);
	memset(client, 0, sizeof(*client));
}

char *client_encode(const char *text)
{
	char *encoded = curl_easy_escape(NULL, text, 0), *copy = encoded ? strdup(encoded) : NULL;

	curl_free(encoded);
	if (!copy)
		abort();
	return copy;
}

static size_t take(char *bytes, size_t one, size_t count, void *context)
{
	struct answer *answer = context;
	char *bigger;

	if (count > ANSWER_MAX - answer->size)
		return 0;
	bigger = realloc(answer->text, answer->size + count + 1);
	if (!bigger)
		return 0;
	answer->text = bigger;
	memcpy(answer->text + answer->size, bytes, count);
	answer->size += count;
	answer->text[answer->size] = 0;
	return count;
}

/* 0 when there is an answer, whatever its status. */
static int request(struct client *client, const char *method, const char *path, const char *body,
		   struct answer *answer)
{
	struct curl_slist *headers = NULL;
	char *url = NULL, *authorization = NULL;
	CURLcode code = CURLE_OUT_OF_MEMORY;

	memset(answer, 0, sizeof(*answer));
	if (asprintf(&url, "%s%s", client->server, path) < 0 ||
	    asprintf(&authorization, "Authorization: Bearer %s", client->token) < 0)
		abort();
	headers = curl_slist_append(headers, authorization);
	headers = curl_slist_append(headers, "Content-Type: application/json");
	curl_easy_reset(client->curl);
	curl_easy_setopt(client->curl, CURLOPT_URL, url);
	curl_easy_setopt(client->curl, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(client->curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(client->curl, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(client->curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(client->curl, CURLOPT_WRITEDATA, answer);
	curl_easy_setopt(client->curl, CURLOPT_TIMEOUT, REQUEST_SECONDS);
	curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
	if (body)
		curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, body);
	code = curl_easy_perform(client->curl);
	if (code == CURLE_OK)
		curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &answer->status);
	else
		cli_error("%s: %s", client->server, curl_easy_strerror(code));
	curl_slist_free_all(headers);
	free(url);
	free(authorization);
	return code == CURLE_OK ? 0 : -1;
}

static const char *member_text(struct json_object *o, const char *name)
{
	struct json_object *member;

	if (!o || !json_object_object_get_ex(o, name, &member) ||
	    !json_object_is_type(member, json_type_string))
		return NULL;
	return json_object_get_string(member);
}

/* The object of a 2xx answer; anything else is printed. */
static struct json_object *take_answer(struct answer *answer)
{
	struct json_object *o = answer->text ? json_tokener_parse(answer->text) : NULL;
	const char *detail = member_text(o, "detail"), *title = member_text(o, "title");

	free(answer->text);
	if (answer->status >= 200 && answer->status < 300 && json_object_is_type(o, json_type_object))
		return o;
	if (detail)
		cli_error("%s", detail);
	else
		cli_error("The service answered %ld%s%s", answer->status, title ? " " : "",
			  title ? title : "");
	json_object_put(o);
	return NULL;
}

struct json_object *client_get(struct client *client, const char *path)
{
	struct answer answer;

	if (request(client, "GET", path, NULL, &answer)) {
		free(answer.text);
		return NULL;
	}
	return take_answer(&answer);
}

/* True when the job has ended well. */
static bool wait_for_job(struct client *client, const char *job)
{
	for (;;) {
		struct json_object *o, *properties, *member;
		const char *error;
		char *path;
		int state;

		if (asprintf(&path, "%s?wait=30", job) < 0)
			abort();
		o = client_get(client, path);
		free(path);
		if (!o)
			return false;
		properties = json_object_object_get(o, "properties");
		state = json_object_object_get_ex(properties, "JobState", &member)
				? json_object_get_int(member)
				: 0;
		if (state == 7 || state < 2 || state > 7) {
			error = member_text(properties, "ErrorDescription");
			if (state != 7)
				cli_error("%s", error ? error : "The job did not end well");
			json_object_put(o);
			return state == 7;
		}
		json_object_put(o);
	}
}

struct json_object *client_invoke(struct client *client, const char *instance, const char *method,
				  struct json_object *body)
{
	struct json_object *o = NULL;
	struct answer answer;
	const char *job;
	char *path;
	int error;

	if (asprintf(&path, "%s/methods/%s", instance, method) < 0)
		abort();
	error = request(client, "POST", path, body ? json_object_to_json_string(body) : "{}", &answer);
	free(path);
	json_object_put(body);
	if (error)
		free(answer.text);
	else
		o = take_answer(&answer);
	job = answer.status == 202 ? member_text(o, "Job") : NULL;
	if (job && !wait_for_job(client, job)) {
		json_object_put(o);
		return NULL;
	}
	return o;
}

static int send_all(void *curl, int fd, const char *text, size_t size)
{
	while (size) {
		size_t sent = 0;
		CURLcode code = curl_easy_send(curl, text, size, &sent);
		struct pollfd p = {.fd = fd, .events = POLLOUT};

		if (code == CURLE_AGAIN) {
			if (poll(&p, 1, UPGRADE_MS) <= 0)
				return -1;
		} else if (code != CURLE_OK) {
			return -1;
		}
		text += sent;
		size -= sent;
	}
	return 0;
}

/* Reads up to the end of the headers. What follows them stays in the buffer, from *body on. */
static int read_head(void *curl, int fd, char *buffer, size_t room, size_t *size, char **body)
{
	*size = 0;
	for (;;) {
		size_t count = 0;
		CURLcode code = curl_easy_recv(curl, buffer + *size, room - 1 - *size, &count);
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (code == CURLE_AGAIN) {
			if (poll(&p, 1, UPGRADE_MS) <= 0)
				return -1;
			continue;
		}
		if (code != CURLE_OK || !count)
			return -1;
		*size += count;
		buffer[*size] = 0;
		*body = strstr(buffer, "\r\n\r\n");
		if (*body) {
			*body += 4;
			return 0;
		}
		if (*size == room - 1)
			return -1;
	}
}

int client_upgrade(struct client *client, const char *path, const char *protocol, char *early,
		   size_t *early_size)
{
	const char *host = strstr(client->server, "://") ? strstr(client->server, "://") + 3 : client->server;
	char *text, buffer[16384], *body;
	curl_socket_t fd;
	size_t size;
	int error;

	curl_easy_reset(client->curl);
	curl_easy_setopt(client->curl, CURLOPT_URL, client->server);
	curl_easy_setopt(client->curl, CURLOPT_CONNECT_ONLY, 1L);
	curl_easy_setopt(client->curl, CURLOPT_NOSIGNAL, 1L);
	if (curl_easy_perform(client->curl) != CURLE_OK ||
	    curl_easy_getinfo(client->curl, CURLINFO_ACTIVESOCKET, &fd) != CURLE_OK) {
		cli_error("%s: no connection", client->server);
		return -1;
	}
	if (asprintf(&text,
		     "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nConnection: "
		     "Upgrade\r\nUpgrade: %s\r\n\r\n",
		     path, host, client->token, protocol) < 0)
		abort();
	error = send_all(client->curl, fd, text, strlen(text)) ||
		read_head(client->curl, fd, buffer, sizeof(buffer), &size, &body);
	free(text);
	if (error) {
		cli_error("%s: the service did not answer", client->server);
		return -1;
	}
	if (strncmp(buffer, "HTTP/1.1 101 ", 13) != 0) {
		struct answer answer = {.status = size > 12 ? strtol(buffer + 9, NULL, 10) : 0,
					.text = strdup(body)};

		json_object_put(take_answer(&answer));
		return -1;
	}
	*early_size = size - (size_t)(body - buffer);
	memcpy(early, body, *early_size);
	return fd;
}

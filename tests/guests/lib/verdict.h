/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a guest is made of, and how it ends. A guest defines guest_tests[]; the runtime runs them in order, a failed test
 * does not keep the next one from running, and the last line says PASS, FAIL, SKIP (all tests skipped) or ERROR (the guest
 * itself is broken). Then the machine is powered off.
 */
#ifndef GUEST_VERDICT_H
#define GUEST_VERDICT_H

#include <stdbool.h>
#include <stdint.h>

struct guest_test {
	const char *name;		/* a sentence: what is true when it passes */
	void (*run)(void);
};
extern const struct guest_test guest_tests[];	/* ends with a NULL name */

enum verdict { VERDICT_PASS, VERDICT_FAIL, VERDICT_SKIP, VERDICT_ERROR };

/* Prints the last line, with a reason unless format is NULL, and powers off. */
_Noreturn void verdict_end(enum verdict verdict, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Notes a failure, or a reason to skip, of the running test; the macros below also return from the caller. */
void verdict_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
void verdict_skip(const char *reason);
bool verdict_failed(void);		/* the running test has failed, or is to be skipped */
const char *verdict_test(void);		/* name of the running test */

#define FAIL(...) \
	do { \
		verdict_fail(__FILE_NAME__, __LINE__, __VA_ARGS__); \
		return; \
	} while (0)

#define SKIP(reason) \
	do { \
		verdict_skip(reason); \
		return; \
	} while (0)

#define EXPECT(condition, ...) \
	do { \
		if (!(condition)) \
			FAIL(__VA_ARGS__); \
	} while (0)

#define EXPECT_EQ(got, wanted, what) \
	do { \
		unsigned long long got_ = (got), wanted_ = (wanted); \
		if (got_ != wanted_) \
			FAIL("%s is 0x%llx, not 0x%llx", (what), got_, wanted_); \
	} while (0)

/* Leaves the test when a function called before has failed it. */
#define EXPECT_ALL() \
	do { \
		if (verdict_failed()) \
			return; \
	} while (0)

#endif

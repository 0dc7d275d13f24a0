/* SPDX-License-Identifier: Apache-2.0 */
/* The migration scripts, made by the build from store/migrations in the order of their numbers. */
#ifndef STORE_MIGRATIONS_H
#define STORE_MIGRATIONS_H

/* [n] brings schema version n to n + 1; NULL ends the list. */
extern const char *const store_migrations[];

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dump.bufs: a JSON object as text: "key: value" lines, an array one line for each item, "key=value"
 * for what is inside an item.
 */
#include "dump_image.h"

#include <linkhash.h>
#include <stdio.h>

static void print_value(struct json_object *v)
{
	if (json_object_is_type(v, json_type_string))
		fputs(json_object_get_string(v), stdout);
	else
		fputs(json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN), stdout);
}

static void print_item(struct json_object *item)
{
	const char *space = "  ";

	if (!json_object_is_type(item, json_type_object)) {
		printf("  ");
		print_value(item);
		printf("\n");
		return;
	}
	json_object_object_foreach(item, key, value)
	{
		printf("%s%s=", space, key);
		print_value(value);
		space = " ";
	}
	printf("\n");
}

void print_text(struct json_object *o)
{
	json_object_object_foreach(o, key, value)
	{
		if (json_object_is_type(value, json_type_array)) {
			printf("%s:\n", key);
			for (size_t i = 0; i < json_object_array_length(value); i++)
				print_item(json_object_array_get_idx(value, i));
		} else {
			printf("%s: ", key);
			print_value(value);
			printf("\n");
		}
	}
}

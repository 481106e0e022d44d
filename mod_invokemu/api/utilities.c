/*
 * utilities.c: /api/v1/utilities/…: what clients let the server work out.
 */
#include <apr_strings.h>

#include "mod_invokemu/api/handlers.h"
#include "mod_invokemu/util/dynamic_prompt.h"
#include "mod_invokemu/util/ids.h"
#include "mod_invokemu/validate.h"

/** POST dynamicprompts {prompt, max_prompts, combinatorial, seed}: {prompts, error}. A prompt that
 * cannot be read comes back alone, with the reason. */
imu_err *imu_api_dynamic_prompts(imu_req *req)
{
    imu_check *c = imu_check_new(req->p, "body");
    const char *prompt, *error;
    json_t *body, *prompts;
    uint64_t seed;
    int max, combinatorial;
    imu_err *err = imu_body_object(req, &body);

    if (err)
        return err;
    prompt = imu_check_text(c, body, "prompt", IMU_REQUIRED, 0, IMU_DYNAMIC_MAX_LENGTH);
    max = (int)imu_check_int(c, body, "max_prompts", 0, 1, 10000, 1000);
    combinatorial = imu_check_bool(c, body, "combinatorial", 0, 1);
    seed = (uint64_t)imu_check_int(c, body, "seed", IMU_NULLABLE, INT64_MIN, INT64_MAX, 0);
    if ((err = imu_check_end(c)))
        return err;
    if (!json_is_integer(json_object_get(body, "seed")))
        imu_random_bytes(&seed, sizeof seed);
    prompts = imu_dynamic_prompts(req->p, prompt, max, combinatorial ? NULL : &seed, &error);
    if (!prompts)
        return imu_error_internal(req->p, "no memory for a list of prompts");
    return imu_reply_json(req, 200, json_pack("{s:o, s:s?}", "prompts", prompts, "error", error));
}

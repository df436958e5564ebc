-- A small studio that makes video with AI: fills a registry, to look round in.
-- Use: psql -d DATABASE -f examples/sample_studio.sql      the extension must be there; twice changes nothing
--
-- Models, LoRAs and node packs have their public names and versions; the studio, its own LoRAs and its
-- projects are invented. Assets are registered without files, unless a temporary table sample_files says,
-- before this script is run in the same session, where they are and what is in them (examples/demo).
\set ON_ERROR_STOP on

BEGIN;
SET LOCAL search_path = assetreg, public, pg_temp;
SET LOCAL client_min_messages = warning;
CREATE TEMP TABLE IF NOT EXISTS sample_files (file text PRIMARY KEY, path text, size bigint, sha256 text);

-- --- assets --------------------------------------------------------------------------------------

-- A studio adds its own types of asset.
INSERT INTO asset_types (name, description)
	SELECT * FROM (VALUES
		('controlnet', 'steers a base model by poses, depth or edges'),
		('upscaler', 'enlarges what was generated')) v (name, description)
	WHERE name NOT IN (SELECT name FROM asset_types);

CREATE TEMP TABLE sample_assets (n serial, type text, name text, version text, file text, metadata jsonb, provides text[])
	ON COMMIT DROP;

INSERT INTO sample_assets (type, name, version, file, metadata) VALUES
	('model', 'stable-diffusion', '1.5', 'checkpoints/v1-5-pruned-emaonly.safetensors', '{"licence": "creativeml-openrail-m"}'),
	('model', 'sdxl-base', '1.0', 'checkpoints/sd_xl_base_1.0.safetensors', '{"licence": "openrail++"}'),
	('model', 'sdxl-refiner', '1.0', 'checkpoints/sd_xl_refiner_1.0.safetensors', '{"licence": "openrail++"}'),
	('model', 'sdxl-vae', '1.0', 'vae/sdxl_vae.safetensors', '{"licence": "mit"}'),
	('model', 'FLUX.1-dev', 'bf16', 'diffusion_models/flux1-dev.safetensors', '{"licence": "flux-1-dev-non-commercial"}'),
	('model', 'flux-vae', '1', 'vae/ae.safetensors', '{"licence": "apache-2.0"}'),
	('model', 't5xxl', 'fp16', 'text_encoders/t5xxl_fp16.safetensors', '{"licence": "apache-2.0"}'),
	('model', 'clip-l', '1', 'text_encoders/clip_l.safetensors', '{"licence": "mit"}'),
	('model', 'wan-t2v-14b', '2.1', 'diffusion_models/wan2.1_t2v_14B_fp16.safetensors', '{"licence": "apache-2.0"}'),
	('model', 'wan-t2v-14b-high-noise', '2.2', 'diffusion_models/wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors', '{"licence": "apache-2.0"}'),
	('model', 'wan-t2v-14b-low-noise', '2.2', 'diffusion_models/wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors', '{"licence": "apache-2.0"}'),
	('model', 'wan-i2v-14b-high-noise', '2.2', 'diffusion_models/wan2.2_i2v_high_noise_14B_fp8_scaled.safetensors', '{"licence": "apache-2.0"}'),
	('model', 'wan-i2v-14b-low-noise', '2.2', 'diffusion_models/wan2.2_i2v_low_noise_14B_fp8_scaled.safetensors', '{"licence": "apache-2.0"}'),
	('model', 'wan-vae', '2.1', 'vae/wan_2.1_vae.safetensors', '{"licence": "apache-2.0"}'),
	('model', 'wan-vae', '2.2', 'vae/wan2.2_vae.safetensors', '{"licence": "apache-2.0"}'),
	('model', 'umt5-xxl', 'fp8_scaled', 'text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors', '{"licence": "apache-2.0"}'),
	('model', 'hunyuan-video-t2v', 'bf16', 'diffusion_models/hunyuan_video_t2v_720p_bf16.safetensors', '{"licence": "tencent-hunyuan-community"}'),
	('model', 'hunyuan-video-vae', 'bf16', 'vae/hunyuan_video_vae_bf16.safetensors', '{"licence": "tencent-hunyuan-community"}'),
	('model', 'llava-llama3', 'fp8_scaled', 'text_encoders/llava_llama3_fp8_scaled.safetensors', '{}'),
	('model', 'animatediff-motion-sd15', '2', 'animatediff_models/mm_sd15_v2.safetensors', '{"licence": "apache-2.0"}'),
	('model', 'animatediff-motion-sd15', '3', 'animatediff_models/mm_sd15_v3.safetensors', '{"licence": "apache-2.0"}'),
	('controlnet', 'openpose-sd15', '1.1', 'controlnet/control_v11p_sd15_openpose_fp16.safetensors', '{"licence": "openrail"}'),
	('controlnet', 'depth-sd15', '1.1', 'controlnet/control_v11f1p_sd15_depth_fp16.safetensors', '{"licence": "openrail"}'),
	('upscaler', 'RealESRGAN-x4plus', '0.1.0', 'upscale_models/RealESRGAN_x4plus.safetensors', '{"licence": "bsd-3-clause"}'),

	('lora', 'lcm-sdxl', '1', 'loras/lcm_lora_sdxl.safetensors', '{"purpose": "fewer steps"}'),
	('lora', 'sdxl-lightning', '4step', 'loras/sdxl_lightning_4step_lora.safetensors', '{"purpose": "fewer steps"}'),
	('lora', 'sdxl-offset-example', '1.0', 'loras/sd_xl_offset_example-lora_1.0.safetensors', '{"purpose": "contrast"}'),
	('lora', 'hyper-flux', '8steps', 'loras/Hyper-FLUX.1-dev-8steps-lora.safetensors', '{"purpose": "fewer steps"}'),
	('lora', 'wan22-t2v-lightx2v-high-noise', '1.1', 'loras/wan2.2_t2v_lightx2v_4steps_lora_v1.1_high_noise.safetensors', '{"purpose": "fewer steps"}'),
	('lora', 'wan22-t2v-lightx2v-low-noise', '1.1', 'loras/wan2.2_t2v_lightx2v_4steps_lora_v1.1_low_noise.safetensors', '{"purpose": "fewer steps"}'),
	('lora', 'wan22-i2v-lightx2v-high-noise', '1', 'loras/wan2.2_i2v_lightx2v_4steps_lora_v1_high_noise.safetensors', '{"purpose": "fewer steps"}'),
	('lora', 'wan22-i2v-lightx2v-low-noise', '1', 'loras/wan2.2_i2v_lightx2v_4steps_lora_v1_low_noise.safetensors', '{"purpose": "fewer steps"}'),
	('lora', 'animatediff-pan-left', '2', 'loras/mm_sd15_v2_lora_PanLeft.safetensors', '{"purpose": "camera move"}'),
	('lora', 'film-grain', '1.0', 'loras/film-grain-1.0.safetensors', '{"trigger_words": ["film grain"]}'),
	('lora', 'film-grain', '1.1', 'loras/film-grain-1.1.safetensors', '{"trigger_words": ["film grain"]}'),
	('lora', 'film-grain', '1.2', 'loras/film-grain-1.2.safetensors', '{"trigger_words": ["film grain", "fine grain"]}'),
	('lora', 'anamorphic-look', '1.0', 'loras/anamorphic-look-1.0.safetensors', '{"trigger_words": ["anamorphic"]}'),
	('lora', 'anamorphic-look', '2.0-beta.1', 'loras/anamorphic-look-2.0-beta.1.safetensors', '{"trigger_words": ["anamorphic"]}'),
	('lora', 'anamorphic-look', '2.0', 'loras/anamorphic-look-2.0.safetensors', '{"trigger_words": ["anamorphic"]}'),
	('lora', 'rain-and-neon', '1.0', 'loras/rain-and-neon-1.0.safetensors', '{"trigger_words": ["neon rain"]}'),
	('lora', 'miniature-set', '1.0', 'loras/miniature-set-1.0.safetensors', '{"trigger_words": ["miniature set"]}'),
	('lora', 'hand-drawn-ink', '1.0', 'loras/hand-drawn-ink-1.0.safetensors', '{"trigger_words": ["ink drawing"]}');

-- A node pack is a folder of code: no file, but the class types that it provides.
INSERT INTO sample_assets (type, name, version, provides) VALUES
	('custom_node', 'ComfyUI-VideoHelperSuite', '1.2.2', '{VHS_LoadVideo,VHS_LoadImagesPath,VHS_VideoCombine}'),
	('custom_node', 'ComfyUI-AnimateDiff-Evolved', '1.2.3',
		'{ADE_LoadAnimateDiffModel,ADE_ApplyAnimateDiffModelSimple,ADE_UseEvolvedSampling,ADE_AnimateDiffLoRALoader}'),
	('custom_node', 'ComfyUI-Advanced-ControlNet', '1.1.4', '{ControlNetLoaderAdvanced,ACN_AdvancedControlNetApply}'),
	('custom_node', 'ComfyUI-Impact-Pack', '5.18.11', '{FaceDetailer,SAMLoader,DetailerForEach}'),
	('custom_node', 'rgthree-comfy', '1.0.2508161414', '{"Power Lora Loader (rgthree)","Seed (rgthree)"}'),
	('custom_node', 'ComfyUI-KJNodes', '1.5.2', '{ImageResizeKJ,ColorMatch,GetImageSizeAndCount}'),
	('custom_node', 'ComfyUI-Frame-Interpolation', '1.0.11', '{"RIFE VFI","FILM VFI"}'),
	('custom_node', 'comfyui_controlnet_aux', '1.0.4-alpha.7', '{OpenposePreprocessor,DepthAnythingPreprocessor}'),
	('custom_node', 'ComfyUI_IPAdapter_plus', '1.0.0', '{IPAdapterAdvanced,IPAdapterUnifiedLoader}');

DO $$
BEGIN
	PERFORM register_asset(a.type, a.name, a.version, f.path, f.size, f.sha256, a.metadata, a.provides)
	FROM (SELECT * FROM sample_assets ORDER BY n) a LEFT JOIN sample_files f USING (file);
END
$$;

-- Which version follows which.
UPDATE assets new SET supersedes = old.id
FROM assets old
WHERE (old.name, old.version, new.version) IN
		(('film-grain', '1.0', '1.1'), ('film-grain', '1.1', '1.2'), ('anamorphic-look', '1.0', '2.0'),
		 ('animatediff-motion-sd15', '2', '3'))
	AND new.type = old.type AND new.name = old.name
	AND new.supersedes IS DISTINCT FROM old.id;

-- --- what is made with them ----------------------------------------------------------------------

-- A template stands for one workflow, whose document names the assets: those edges are derived, not declared.
CREATE TEMP TABLE sample_templates (n serial, key text, label text, active boolean, needs text[]) ON COMMIT DROP;

INSERT INTO sample_templates (key, label, active, needs) VALUES
	('wan22-cinematic', 'Wan 2.2, cinematic', true,
		'{model/wan-t2v-14b-high-noise@2.2,model/wan-t2v-14b-low-noise@2.2,model/wan-vae@2.1,model/umt5-xxl@fp8_scaled,
		  lora/wan22-t2v-lightx2v-high-noise@1.1,lora/wan22-t2v-lightx2v-low-noise@1.1,lora/film-grain@1.2}'),
	('wan22-night-rain', 'Wan 2.2, night and rain', true,
		'{model/wan-t2v-14b-high-noise@2.2,model/wan-t2v-14b-low-noise@2.2,model/wan-vae@2.1,model/umt5-xxl@fp8_scaled,
		  lora/rain-and-neon@1.0,lora/film-grain@1.1}'),
	('wan22-from-still', 'Wan 2.2, from a still', true,
		'{model/wan-i2v-14b-high-noise@2.2,model/wan-i2v-14b-low-noise@2.2,model/wan-vae@2.1,model/umt5-xxl@fp8_scaled,
		  lora/wan22-i2v-lightx2v-high-noise@1,lora/wan22-i2v-lightx2v-low-noise@1}'),
	('wan21-archive', 'Wan 2.1, archive look', false,
		'{model/wan-t2v-14b@2.1,model/wan-vae@2.1,model/umt5-xxl@fp8_scaled,lora/film-grain@1.0}'),
	('hunyuan-wide', 'HunyuanVideo, wide', true,
		'{model/hunyuan-video-t2v@bf16,model/hunyuan-video-vae@bf16,model/llava-llama3@fp8_scaled,model/clip-l@1}'),
	('flux-keyframe', 'FLUX keyframe', true,
		'{model/FLUX.1-dev@bf16,model/flux-vae@1,model/t5xxl@fp16,model/clip-l@1,lora/hyper-flux@8steps,lora/anamorphic-look@2.0}'),
	('sdxl-matte', 'SDXL matte painting', true,
		'{model/sdxl-base@1.0,model/sdxl-vae@1.0,lora/sdxl-lightning@4step,lora/miniature-set@1.0}'),
	('animatediff-ink', 'AnimateDiff, ink', true,
		'{model/stable-diffusion@1.5,model/animatediff-motion-sd15@3,controlnet/openpose-sd15@1.1,lora/hand-drawn-ink@1.0}'),
	('animatediff-pan', 'AnimateDiff, slow pan', false,
		'{model/stable-diffusion@1.5,model/animatediff-motion-sd15@2,lora/animatediff-pan-left@2}'),
	('finish-4k', 'Interpolate and enlarge', true, '{upscaler/RealESRGAN-x4plus@0.1.0}');

CREATE TEMP TABLE sample_nodes (workflow text, pack text, requires text[]) ON COMMIT DROP;

INSERT INTO sample_nodes VALUES
	('wan22-cinematic', 'ComfyUI-KJNodes', '{ImageResizeKJ,ColorMatch}'),
	('wan22-cinematic', 'rgthree-comfy', '{"Power Lora Loader (rgthree)"}'),
	('wan22-cinematic', 'ComfyUI-VideoHelperSuite', '{VHS_VideoCombine}'),
	('wan22-night-rain', 'rgthree-comfy', '{"Power Lora Loader (rgthree)","Seed (rgthree)"}'),
	('wan22-night-rain', 'ComfyUI-VideoHelperSuite', '{VHS_VideoCombine}'),
	('wan22-from-still', 'ComfyUI-KJNodes', '{ImageResizeKJ}'),
	('wan22-from-still', 'ComfyUI-VideoHelperSuite', '{VHS_VideoCombine}'),
	('wan21-archive', 'ComfyUI-VideoHelperSuite', '{VHS_VideoCombine}'),
	('hunyuan-wide', 'ComfyUI-VideoHelperSuite', '{VHS_VideoCombine}'),
	('flux-keyframe', 'ComfyUI-Impact-Pack', '{FaceDetailer,SAMLoader}'),
	('sdxl-matte', 'ComfyUI_IPAdapter_plus', '{IPAdapterUnifiedLoader,IPAdapterAdvanced}'),
	('animatediff-ink', 'ComfyUI-AnimateDiff-Evolved', '{ADE_LoadAnimateDiffModel,ADE_ApplyAnimateDiffModelSimple,ADE_UseEvolvedSampling}'),
	('animatediff-ink', 'ComfyUI-Advanced-ControlNet', '{ControlNetLoaderAdvanced,ACN_AdvancedControlNetApply}'),
	('animatediff-ink', 'comfyui_controlnet_aux', '{OpenposePreprocessor}'),
	('animatediff-pan', 'ComfyUI-AnimateDiff-Evolved', '{ADE_LoadAnimateDiffModel,ADE_AnimateDiffLoRALoader}'),
	('finish-4k', 'ComfyUI-Frame-Interpolation', '{"RIFE VFI"}'),
	('finish-4k', 'ComfyUI-VideoHelperSuite', '{VHS_LoadVideo,VHS_VideoCombine}');

CREATE TEMP TABLE sample_scene_types (key text, label text, active boolean, templates text[]) ON COMMIT DROP;

INSERT INTO sample_scene_types VALUES
	('night-street', 'Night street', true, '{wan22-night-rain,finish-4k}'),
	('interior-dialogue', 'Interior, dialogue', true, '{flux-keyframe,wan22-from-still}'),
	('wide-landscape', 'Wide landscape', true, '{hunyuan-wide,finish-4k}'),
	('establishing-shot', 'Establishing shot', true, '{sdxl-matte,wan22-cinematic}'),
	('title-loop', 'Title loop', true, '{animatediff-ink}'),
	('archive-look', 'Archive look', false, '{wan21-archive}');

CREATE TEMP TABLE sample_scenes (project text, number text, label text, active boolean, scene_type text) ON COMMIT DROP;

INSERT INTO sample_scenes VALUES
	('harbour-lights', '010', 'Quay in the rain', true, 'night-street'),
	('harbour-lights', '020', 'Harbour office', true, 'interior-dialogue'),
	('harbour-lights', '030', 'Ferry crossing', true, 'wide-landscape'),
	('harbour-lights', '040', 'Market at dusk', true, 'establishing-shot'),
	('harbour-lights', '050', 'Lighthouse stairs', true, 'interior-dialogue'),
	('harbour-lights', '060', 'Empty pier', false, 'night-street'),
	('harbour-lights', '070', 'Newsreel', false, 'archive-look'),
	('paper-city', '010', 'Paper skyline', true, 'establishing-shot'),
	('paper-city', '020', 'Folding streets', true, 'title-loop'),
	('paper-city', '030', 'Ink river', false, 'title-loop');

-- One by one through the function that a service would call for one of them.
DO $$
BEGIN
	PERFORM put_entity('workflow', key || '.json', key || '.json', active) FROM sample_templates ORDER BY n;
	PERFORM put_entity('template', key, label, active) FROM sample_templates ORDER BY n;
	PERFORM put_entity('scene_type', key, label, active) FROM sample_scene_types;
	PERFORM put_entity('project', 'harbour-lights', 'Harbour Lights');
	PERFORM put_entity('project', 'paper-city', 'Paper City');
END
$$;

-- All at once, as a studio would take over its own tables.
INSERT INTO entities (kind, key, label, active)
	SELECT 'scene', project || '/' || number, label, active FROM sample_scenes ORDER BY project, number
	ON CONFLICT DO NOTHING;
INSERT INTO entities (kind, key, label, active)
	SELECT 'segment', project || '/' || number || '/' || part, label || ', part ' || part, active
	FROM sample_scenes, unnest('{a,b}'::text[]) part ORDER BY project, number, part
	ON CONFLICT DO NOTHING;
INSERT INTO entities (kind, key, label, active) VALUES
	('job', 'render-2041', 'Render 2041', false),
	('job', 'render-2042', 'Render 2042', true),
	('job', 'render-2043', 'Render 2043', true),
	('job', 'render-2044', 'Render 2044', true)
	ON CONFLICT DO NOTHING;

-- --- who needs what ------------------------------------------------------------------------------

-- What people declare: a LoRA is made for a base model, a scene type is generated by templates, and so on.
DO $$
BEGIN
	PERFORM add_dependency(asset_id(lora), asset_id(base), 'trained for')
	FROM (VALUES
		('lora/lcm-sdxl@1', 'model/sdxl-base@1.0'),
		('lora/sdxl-lightning@4step', 'model/sdxl-base@1.0'),
		('lora/sdxl-offset-example@1.0', 'model/sdxl-base@1.0'),
		('lora/miniature-set@1.0', 'model/sdxl-base@1.0'),
		('lora/hyper-flux@8steps', 'model/FLUX.1-dev@bf16'),
		('lora/anamorphic-look@1.0', 'model/FLUX.1-dev@bf16'),
		('lora/anamorphic-look@2.0-beta.1', 'model/FLUX.1-dev@bf16'),
		('lora/anamorphic-look@2.0', 'model/FLUX.1-dev@bf16'),
		('lora/wan22-t2v-lightx2v-high-noise@1.1', 'model/wan-t2v-14b-high-noise@2.2'),
		('lora/wan22-t2v-lightx2v-low-noise@1.1', 'model/wan-t2v-14b-low-noise@2.2'),
		('lora/wan22-i2v-lightx2v-high-noise@1', 'model/wan-i2v-14b-high-noise@2.2'),
		('lora/wan22-i2v-lightx2v-low-noise@1', 'model/wan-i2v-14b-low-noise@2.2'),
		('lora/film-grain@1.0', 'model/wan-t2v-14b@2.1'),
		('lora/film-grain@1.1', 'model/wan-t2v-14b-low-noise@2.2'),
		('lora/film-grain@1.2', 'model/wan-t2v-14b-low-noise@2.2'),
		('lora/rain-and-neon@1.0', 'model/wan-t2v-14b-low-noise@2.2'),
		('lora/hand-drawn-ink@1.0', 'model/stable-diffusion@1.5'),
		('lora/animatediff-pan-left@2', 'model/animatediff-motion-sd15@2'),
		('model/animatediff-motion-sd15@2', 'model/stable-diffusion@1.5'),
		('model/animatediff-motion-sd15@3', 'model/stable-diffusion@1.5'),
		('controlnet/openpose-sd15@1.1', 'model/stable-diffusion@1.5'),
		('controlnet/depth-sd15@1.1', 'model/stable-diffusion@1.5')) v (lora, base);

	PERFORM add_dependency(entity_id('template', key), entity_id('workflow', key || '.json'), 'runs') FROM sample_templates;
	PERFORM add_dependency(entity_id('template', key), asset_id(need))
	FROM sample_templates, unnest(needs) need WHERE need LIKE 'lora/%';
	PERFORM add_dependency(entity_id('scene_type', key), entity_id('template', template), 'generated by')
	FROM sample_scene_types, unnest(templates) template;
	PERFORM add_dependency(entity_id('scene', project || '/' || number), entity_id('scene_type', scene_type), 'is a')
	FROM sample_scenes;
	PERFORM add_dependency(entity_id('segment', project || '/' || number || '/' || part),
						   entity_id('scene', project || '/' || number), 'part of')
	FROM sample_scenes, unnest('{a,b}'::text[]) part;
	PERFORM add_dependency(entity_id('project', project), entity_id('scene', project || '/' || number), 'shows')
	FROM sample_scenes;
	PERFORM add_dependency(entity_id('job', job), entity_id('segment', segment), 'renders')
	FROM (VALUES
		('render-2041', 'harbour-lights/060/a'),
		('render-2042', 'harbour-lights/010/a'),
		('render-2043', 'harbour-lights/040/b'),
		('render-2044', 'paper-city/020/a')) v (job, segment);
END
$$;

-- What the workflow documents say: the edges' source tells that nobody declared them.
INSERT INTO asset_dependencies (dependent_id, dependency_id, source, requires)
	SELECT entity_id('workflow', key || '.json'), asset_id(need), 'workflow', '{}'
	FROM sample_templates, unnest(needs) need
	UNION ALL
	SELECT entity_id('workflow', workflow || '.json'), asset_id('custom_node/' || pack), 'workflow', requires
	FROM sample_nodes
	ON CONFLICT DO NOTHING;

-- --- the state of things -------------------------------------------------------------------------

UPDATE assets a SET status = v.status, replaced_by = asset_id(v.replaced_by)
FROM (VALUES
	('lora/film-grain@1.0', 'deprecated', 'lora/film-grain@1.2'),
	('lora/anamorphic-look@1.0', 'removed', 'lora/anamorphic-look@2.0'),
	('lora/anamorphic-look@2.0-beta.1', 'deprecated', 'lora/anamorphic-look@2.0'),
	('model/animatediff-motion-sd15@2', 'deprecated', 'model/animatediff-motion-sd15@3')) v (reference, status, replaced_by)
WHERE a.id = asset_id(v.reference) AND a.status <> v.status;

COMMIT;
ANALYZE assetreg.entities, assetreg.assets, assetreg.asset_dependencies;

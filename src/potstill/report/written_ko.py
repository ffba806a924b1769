"""글을 쓰는 학생 모델의 보고서에 더해지는 한국어 문장. 열쇠는 `written_en.py`와 같다."""

WORDS = {
    "exact_match": "정확 일치",
    "perplexity": "퍼플렉시티",
    "kl_to_teacher": "교사와의 KL",
    "answer_time": "답변 시간 p50 / p95",
    "first_token": "첫 토큰",
    "prefill": "읽기, 토큰 / CPU초",
    "decode": "쓰기, 토큰 / CPU초",
    "forms": "답의 형식",
    "refusals": "거절",
    "format_errors": "JSON이어야 하는데 아닌 답",
    "field_accuracy": "맞은 필드",
    "verdict_written_gain": (
        "이득: 교사 모델이 도움이 되었습니다. 시험 프롬프트 {count}개 중 학생 모델은 {student}, 교사 없이 학습한 대조군은 "
        "{control}에 바라던 답을 썼습니다. 차이는 {difference}점 [{low}, {high}], 맥니마 검정 p {p}입니다."
    ),
    "verdict_written_no gain": (
        "이득 없음: 시험 프롬프트 {count}개 중 학생 모델은 {student}, 교사 없이 학습한 대조군은 {control}에 바라던 답을 "
        "썼습니다. {difference}점 [{low}, {high}]의 차이는 우연일 수 있습니다(맥니마 검정 p {p})."
    ),
    "verdict_written_harm": (
        "손해: 시험 프롬프트 {count}개 중 학생 모델은 {student}, 교사 없이 학습한 대조군은 {control}에 바라던 답을 "
        "썼습니다. 차이는 {difference}점 [{low}, {high}], 맥니마 검정 p {p}입니다. 대조군을 배포하거나 교사 모델을 바꾸세요."
    ),
    "written_baseline_wins": (
        "같은 데이터와 교사 모델의 답으로 학습한 해시 n-그램 선형 모델이 {baseline}를 맞혀 학생 모델보다 못하지 않습니다. "
        "답이 정해진 집합이므로 그 분류기를 배포하는 것도 생각해 보세요(`potstill distill`에 --text와 --label)."
    ),
    "control_better_text": (
        "바라던 답을 더 그럴듯하게 보는 쪽은 대조군이고(퍼플렉시티 {control} 대 {student}), 교사 모델에 더 가까운 쪽은 "
        "학생 모델입니다(KL {student_kl} 대 {control_kl}). 저마다 학습한 것을 배웠습니다."
    ),
    "chosen_signal": "개발 데이터에서 시험한 신호 가운데 학생 모델에는 `{signal}` 신호를 골랐습니다.",
    "compared_tokens": (
        "교사 모델의 답 {rows}개 가운데 {compared}개를 저장한 확률과 비교했고, 비교한 토큰은 모든 답 토큰의 {share}입니다. "
        "나머지에서는 글만 배웠습니다."
    ),
    "written_answers": "학생 모델의 답이 바라던 답과 다른 곳",
    "wanted": "바라던 답",
    "prompt": "프롬프트",
    "dev_exact_match": "개발 데이터 정확 일치",
    "dev_nats": "개발 데이터 토큰당 나트",
    "prefixes": "앞부분이 같은 프롬프트",
    "prefixes_said": (
        "이번에 물은 프롬프트 토큰 {tokens}개 중 {share}는 다른 프롬프트를 위해 이미 계산한 앞부분에서 가져왔습니다. "
        "프롬프트 {alone}개는 다른 것과 겹치는 부분이 너무 짧았습니다."
    ),
    "prefixes_none": "이번에 새로 물은 것은 없습니다. 모든 답이 저장소에 있었습니다.",
    "cut_answers": "길이 한도에서 잘려 쓰지 않은 답",
    "perplexity_note": (
        "퍼플렉시티는 모두 교사 모델의 토큰을 기준으로 합니다. KL은 바라던 답에서 교사 모델의 상위 {k}개 토큰과 나머지를 "
        "하나로 묶어 계산한 값으로, 전체 발산의 하한입니다. 시간은 프롬프트를 하나씩 처리한 스레드 하나의 CPU 시간이고, 크기는 bf16 가중치 기준입니다."
    ),
    "prompt_leaks": "{part} 프롬프트 {count}개가 시험 데이터에도 있어(완전히 같은 것 {exact}개) 뺐습니다.",
    "gloss_exact_match": "공백을 빼고 바라던 답과 같은 답의 비율",
    "gloss_perplexity": "바라던 답이 이어지는 자리에서 모델이 평균 몇 개의 토큰 사이에서 망설이는지",
    "gloss_kl": "다음 토큰 확률이 교사 모델과 얼마나 다른지(나트)",
    "card_written": (
        "한 가지 일을 위한 매개변수 {parameters}개의 언어 모델입니다. {origin}에서 {layers}개 층과 토큰 {vocabulary}개의 "
        "어휘를 잘라 내어 데이터 {rows}개로 학습했습니다. 그 밖의 것은 모르며 다른 프롬프트에는 제대로 답하지 못합니다."
    ),
    "small_dev_written": "개발 데이터가 {count}개뿐이라 설정 선택이 정밀하지 않습니다.",
}
